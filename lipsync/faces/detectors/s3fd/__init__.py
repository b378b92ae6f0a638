"""S3FD, the detector of the official Wav2Lip, for results that are to match it box by box."""
