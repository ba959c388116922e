"""Shared by the role's modules."""

WORD = "from module_utils"
