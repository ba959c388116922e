"""A module's process: forked from one that has loaded what modules import."""
