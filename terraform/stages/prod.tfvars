# The AWS account that matters: what is lost here cannot be made again.
name_prefix = "prod-"
stage       = "prod"
tags        = { Project = "stream-processing", Stage = "prod" }

# The account's id belongs here. With this one, which no account has, nothing can be deployed.
allowed_account_ids = ["000000000000"]

# Restore all three tables to the same second, then reconcile: docs/runbook.md. `make destroy` is refused until
# deletion_protection is off and deployed.
tables = {
  point_in_time_recovery = true
  deletion_protection    = true
}

# A week to mend a consumer before records are lost.
stream = { retention_hours = 168 }

# No executions are reserved for the functions: a new AWS account has 10 in all, and Lambda keeps at least 100 of an
# account's unreserved. Where the account has more (Service Quotas, AWS Lambda, Concurrent executions), reserve some
# (reserved_concurrency = 20): then the account's other functions cannot take them, and what goes wrong here cannot take
# the others' share. A mapping uses one execution for each shard and parallel batch, and a rollback or a redrive one more;
# 20 leaves room to grow the stream.
functions = {
  # Every score event is a conditional put, which takes processor time (docs/performance.md): a whole core stores some 400 a
  # second and batch. It costs what 256 MB do, since a batch is done seven times as fast.
  ProcessKinesisRecords = { memory_size = 1769 }

  # Batches of 1,000 where 100 is the default: of 100 users, a record takes 2.2 write units rather than 4.0, and five times
  # as many are counted a second. Twice the memory is twice the processor, in half the time, at the same price. Both as
  # measured: docs/performance.md.
  AggregateScoresByUser = { memory_size = 512, mapping = { batch_size = 1000 } }
}

# A month to look into what failed.
failures = { retention_days = 30 }

# Long enough to compare with last quarter.
log_retention_days = 90

# All kinds. Say here who is mailed: alarms = { emails = ["team@example.com"] }
alarms = {}

# To keep the key to all of this in your own hands, and the record of its use in your own trail:
# kms_key_arn = "arn:aws:kms:<region>:<account>:key/<id>"
