"""Objects in memory: a reflector lists and watches a kind, an informer keeps it, the cache holds the informers."""
