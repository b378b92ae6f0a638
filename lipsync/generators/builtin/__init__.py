"""Built-in model: small, shipped with the program, trained by `lipsync.training`."""
