"""What the morning reads."""
