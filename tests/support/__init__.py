"""Helpers and fakes that tests share."""
