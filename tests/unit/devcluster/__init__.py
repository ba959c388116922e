"""Unit tests of devcluster."""
