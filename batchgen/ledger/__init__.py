"""The books: a SQLite database that is written by one thread and read by anyone."""
