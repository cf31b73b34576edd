"""What stands in for AWS in tests: the contract suite checks it against the real thing."""
