"""Batches: the calls that manage them and their files, and the work on them in the background."""
