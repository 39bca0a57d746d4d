"""Benchmarks: one module a question. `python -m bench.rollouts --help` is the place to begin."""
