"""The batch API: files of calls, and the files of their answers."""
