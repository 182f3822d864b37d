"""Catalogs of prompts: rows of CSV and JSONL files, read one by one."""
