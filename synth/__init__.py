"""Worlds, agent hierarchies, tasks and training data, made from plain-language specifications."""
