"""Helpers of every layer: atomic writes, prefetching, registries, packed convolutions, reports."""
