"""One request: from an object to one job, and from its result to the object's status."""
