"""Unit tests of the setup scripts."""
