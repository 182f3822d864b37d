"""Files that are whole or absent: the spool of paid answers and the output folder."""
