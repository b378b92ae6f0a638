"""Training data: preparation, formats on disk, augmentation, audio-video offsets."""
