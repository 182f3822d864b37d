"""The wire: one paid call per request, and downloads that are never a new call."""
