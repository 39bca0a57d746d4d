"""What is measured: one module each, run in a fresh process by `bench.harness`."""
