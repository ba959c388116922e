"""One request: one job for an object, and its result in the status."""
