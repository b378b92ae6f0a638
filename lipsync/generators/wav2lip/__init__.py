"""Wav2Lip: the official network, and its adapter to `LipGenerator`."""
