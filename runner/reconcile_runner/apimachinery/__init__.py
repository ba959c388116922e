"""Kubernetes objects: identity, labels, owners, field paths, durations."""
