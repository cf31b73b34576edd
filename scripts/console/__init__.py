"""The console: one page to look at the pipeline, served on 127.0.0.1 by `make console`. docs/decisions/0009."""
