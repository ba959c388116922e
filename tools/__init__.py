"""Scripts that make the working environment: virtual environment, collections, lock files, system packages.

Called by the Makefile as `python -m tools.NAME`; standard library only, because they run before `.venv` exists.
"""
