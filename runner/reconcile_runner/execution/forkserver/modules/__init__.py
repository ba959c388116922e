"""Modules' processes, forked from one that has loaded what modules import."""
