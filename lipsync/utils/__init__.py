"""Helpers of all layers: atomic writes, prefetching, registries, convolutions."""
