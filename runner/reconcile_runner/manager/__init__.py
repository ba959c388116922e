"""Assembles the operator, starts its parts in order and stops them in reverse: ``manager.Manager``."""
