"""Metrics of results: one file a metric, named after it; `METRICS` lists them."""
