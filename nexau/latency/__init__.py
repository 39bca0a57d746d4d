"""Latency of real servers: measured, kept in profiles, replayed, compared."""
