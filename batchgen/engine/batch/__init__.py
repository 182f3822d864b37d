"""A job that is bought through a Batch API: collected in files, handed in, and its answers taken in."""
