"""`python -m devcluster`; everything is in `cli`."""

from devcluster.cli import main

if __name__ == "__main__":
    main()
