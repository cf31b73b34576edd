# An AWS account to try things in.
name_prefix = "dev-"
stage       = "dev"
tags        = { Project = "stream-processing", Stage = "dev" }

# What is lost or wrong, and what is late: within CloudWatch's ten free alarms. `make status` shows them; nobody is mailed.
alarms = { kinds = ["function-errors", "iterator-age", "records-parked", "records-lost", "drift"] }
