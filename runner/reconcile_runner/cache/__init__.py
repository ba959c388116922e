"""Objects in memory: reflectors fill informers, and the cache holds the informers."""
