# The local cloud: the lab's own names, and nothing that outlives a destroy.
stage = "local"
tags  = { Project = "stream-processing", Stage = "local" }

failures = { force_destroy = true }
