"""The tabs of the page: sync, batch, inspect."""
