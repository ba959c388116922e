"""Patches of Ansible: a forked play starts fast and is like a new interpreter."""
