"""Build every part of the operator, start them in order, stop them in reverse."""
