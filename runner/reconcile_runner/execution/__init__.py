"""How a job runs: engines, launchers, the fork server, events, results."""
