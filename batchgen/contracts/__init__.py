"""What each route takes, returns and charges: dated data, never constants in code."""
