"""`python -m reconcile_devcluster`; everything is in `cli`."""

from reconcile_devcluster.cli import main

if __name__ == "__main__":
    main()
