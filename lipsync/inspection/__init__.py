"""What is in a media file, and what to expect of a lip-sync of it."""
