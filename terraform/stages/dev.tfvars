# An AWS account to try things in: cheap, and gone without a trace after a destroy, failures apart.
name_prefix = "dev-"
stage       = "dev"
tags        = { Project = "stream-processing", Stage = "dev" }

# What is lost or wrong, and what is late: within CloudWatch's ten free alarms. `make status` shows them; nobody is mailed.
alarms = { kinds = ["function-errors", "iterator-age", "records-parked", "records-lost", "drift", "not-judged"] }

# The account's id belongs here. With this one, which no account has, nothing can be deployed.
allowed_account_ids = ["000000000000"]

# Two weeks are enough to look into what was seen.
log_retention_days = 14
