"""Compare the totals with the records, and repair them."""
