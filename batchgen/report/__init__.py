"""What people and programs read of a job: summary, exports, forecast, proof, refunds."""
