"""Secrets kept out of whatever leaves the process."""
