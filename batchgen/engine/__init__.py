"""A run: its routes, attempts, lanes, recovery."""
