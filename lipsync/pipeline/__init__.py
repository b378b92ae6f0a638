"""The lip-sync pipeline: video and voice in, synced video out."""
