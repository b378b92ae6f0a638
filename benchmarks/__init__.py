"""Benchmark programs: `python -m benchmarks.NAME` prints a table, writes JSON."""
