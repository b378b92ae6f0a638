"""Face detectors, listed in `lipsync.faces.DETECTORS`."""
