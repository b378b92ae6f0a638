"""Reading and mixing of audio, and mel spectrograms."""
