"""Runs as directories: what survives the death of the process that ran them."""
