"""The built-in model: small, our own, trained by `lipsync.training`."""
