"""A YAML manifest and its catalog become a stream of prompts and variants."""
