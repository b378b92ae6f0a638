"""The command line `lipsync COMMAND`: one module per command, and `main` that dispatches to them."""
