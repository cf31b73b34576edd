"""Package, document and test this repository."""
