"""`watches.yaml`: from a file to typed watches."""
