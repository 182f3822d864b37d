"""The output folder: names, placing, the index of images."""
