"""Benchmarks: each prints a table and writes JSON; run them with `python -m benchmarks.NAME`."""
