"""Assembles the operator, starts its parts and stops them."""
