"""Operators started as a user starts them, for tests and benchmarks."""
