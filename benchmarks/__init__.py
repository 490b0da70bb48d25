"""Measurements anyone can repeat: `python -m benchmarks` prints a table, each figure beside its own baseline."""
