"""What stands in for AWS on your machine."""
