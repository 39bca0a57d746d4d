"""Worlds: stateful MCP servers made from a specification."""
