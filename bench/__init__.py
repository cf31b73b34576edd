"""What is measured, beside what a user would pick instead: `make bench`, `make bench-quick`, docs/performance.md."""
