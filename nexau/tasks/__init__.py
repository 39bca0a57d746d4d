"""Tasks as a stream, and what a run gives its slots."""
