"""Audio reader, mix, mel spectrogram and AAC settings."""
