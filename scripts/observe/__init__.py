"""Show the state, logs, metrics and totals of a stage."""
