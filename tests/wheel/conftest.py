"""Both engines, as the tests of the engines have them."""

from tests.engine.conftest import engine, ordinary

__all__ = ["engine", "ordinary"]
