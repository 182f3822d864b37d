"""One object for each endpoint: what is asked of it, and how its replies are read."""
