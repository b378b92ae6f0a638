"""S3FD, the detector of the official Wav2Lip, for results with the same boxes."""
