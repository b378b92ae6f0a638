"""Entry point of `python -m lipsync`."""

from lipsync.cli.main import program

if __name__ == "__main__":
    program()
