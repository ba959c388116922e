"""From an event to a call of a reconciler: sources, workqueue and workers."""
