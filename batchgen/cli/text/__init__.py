"""What the commands say, in words for people."""
