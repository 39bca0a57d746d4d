"""Grounded tasks: executed first, described afterwards."""
