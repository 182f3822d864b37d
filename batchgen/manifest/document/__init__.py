"""The text of a manifest becomes checked keys, and every one of them knows where it stands."""
