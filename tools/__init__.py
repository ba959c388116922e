"""Scripts that make the working environment: virtual environment, Ansible collections, lock files.

Called by the Makefile as `python -m tools.NAME`; standard library only, because they run before `.venv` exists.
"""
