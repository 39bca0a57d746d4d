"""Policies: a prompt in, a turn out. No policy knows the runtime."""
