"""How one run happens: engines, launchers, job events, results."""
