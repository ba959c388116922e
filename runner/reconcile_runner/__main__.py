"""``python -m reconcile_runner``: hands the command line to ``cli``, and nothing else."""

from reconcile_runner.cli import main

if __name__ == "__main__":
    main()
