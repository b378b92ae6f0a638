"""The command line `lipsync COMMAND`: `main` dispatches to a module per command."""
