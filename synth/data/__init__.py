"""Training data out of trajectories: checked, curated, exported, measured."""
