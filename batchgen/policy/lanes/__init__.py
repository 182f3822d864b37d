"""What a lane learns of the limits of its gateway: a value in, a value out, without a clock and without waiting."""
