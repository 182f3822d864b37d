"""Whole checks of images: what a file is, and that it is complete to its last byte."""
