"""Drop in a video and a voice, and the lips say the voice."""
