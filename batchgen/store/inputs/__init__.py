"""Reference images and masks: read, checked, made to fit, kept."""
