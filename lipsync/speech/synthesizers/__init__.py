"""Speech synthesisers, one module each, see `lipsync.registries.SYNTHESIZERS`."""
