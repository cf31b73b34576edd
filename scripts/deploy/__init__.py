"""Create, change, inspect and remove a stage."""
