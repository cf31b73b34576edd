# The AWS account that matters: what is lost here cannot be made again.
name_prefix = "prod-"
stage       = "prod"
tags        = { Project = "stream-processing", Stage = "prod" }

tables = {
  point_in_time_recovery = true
  deletion_protection    = true
}

# A week to mend a consumer before records are lost.
stream = { retention_hours = 168 }

# A month to look into what was given up on; the ledger must remember deleted records for longer.
failures       = { retention_days = 30 }
tombstone_days = 35

log_retention_days = 90

# All kinds. Say here who is mailed: alarms = { emails = ["team@example.com"] }
alarms = {}
