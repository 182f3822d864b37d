"""The pictures that are delivered: drawn, written as files, and put behind addresses."""
