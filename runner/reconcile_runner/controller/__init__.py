"""From an event to a call of a reconciler: sources, predicates, handlers, the workqueue, workers."""
