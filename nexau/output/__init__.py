"""Where trajectories go: sinks and their policies."""
