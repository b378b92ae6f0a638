"""The command line: `lipsync COMMAND`, one module a command."""
