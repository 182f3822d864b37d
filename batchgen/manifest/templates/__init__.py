"""Templates of ids, texts and paths: a small and bounded part of Jinja."""
