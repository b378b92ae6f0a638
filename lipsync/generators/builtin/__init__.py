"""The model that ships with the program: small, our own, trained by `lipsync.training`."""
