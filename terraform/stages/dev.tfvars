# An AWS account to try things in.
name_prefix = "dev-"
tags        = { Project = "stream-processing", Stage = "dev" }
