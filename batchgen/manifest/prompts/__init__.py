"""The prompts of a manifest: where each comes from, what it asks, and which images it works on."""
