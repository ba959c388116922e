"""Processes of modules, forked from one that has loaded the code that modules import."""
