"""List and redrive what failed for good."""
