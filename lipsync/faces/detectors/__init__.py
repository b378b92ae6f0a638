"""Face detectors. `lipsync.faces.DETECTORS` lists them; `base.FaceDetector` is what they promise."""
