"""What every Kubernetes client knows of objects: identity, labels, owners, field paths, durations."""
