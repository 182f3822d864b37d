"""A user's own files, read as they are: where they may lie, line by line, and by columns."""
