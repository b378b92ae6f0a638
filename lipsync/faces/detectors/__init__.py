"""Face detectors, listed in `lipsync.registries.DETECTORS`."""
