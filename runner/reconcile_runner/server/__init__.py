"""Servers that the operator opens: probes, metrics of its own, metrics of roles."""
