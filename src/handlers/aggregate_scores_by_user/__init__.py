"""AggregateScoresByUser: keeps GameScoresByUser equal to the sums over GameScoreRecords."""
