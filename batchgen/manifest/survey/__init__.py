"""The reading of all rows: what is wrong or doubtful in them, and how much they ask for."""
