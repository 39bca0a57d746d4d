"""The checks of trajectories: small pure functions over typed facts, grouped by noun."""
