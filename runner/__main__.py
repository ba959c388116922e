"""``python -m runner``: hands the command line to ``cli``, and nothing else."""

import sys

from runner.cli import main

if __name__ == "__main__":
    main(sys.argv[1:])
