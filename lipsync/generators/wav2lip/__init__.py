"""Wav2Lip: the official network, its mel spectrogram, and both as a `LipGenerator`."""
