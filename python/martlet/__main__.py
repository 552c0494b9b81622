"""`python -m martlet`: the command line, see `martlet --help`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
