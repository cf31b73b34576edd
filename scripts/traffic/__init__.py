"""Send events and scores to a stage."""
