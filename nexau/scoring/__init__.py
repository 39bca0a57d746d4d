"""Rollouts scored as they end, simulated users, and what comes next as a signal."""
