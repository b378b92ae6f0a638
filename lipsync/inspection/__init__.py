"""Inspection: contents of a media file, and advice for syncing it."""
