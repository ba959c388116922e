"""Patches of Ansible, so that a forked play starts quickly and behaves like a new interpreter."""
