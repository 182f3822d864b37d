"""The pool: lanes, attempts, recovery."""
