# What bootstrap refuses. What its roles may do is tested on the local cloud, in tests/integration/test_bootstrap.py.

mock_provider "aws" {
  source = "../tests/mocks"
}

# A mock has nothing to import.
override_resource {
  target = aws_s3_bucket.state
}

variables {
  state_bucket      = "stream-processing-tfstate-123456789012-eu-central-1"
  github_repository = "octo-org/scores"
}

run "refuses_a_pattern_for_a_repository" {
  command = plan

  variables {
    github_repository = "octo-org/*"
  }

  expect_failures = [var.github_repository]
}

run "refuses_stages_that_nobody_deploys" {
  command = plan

  variables {
    github_repository = null
    stages            = { dev = { name_prefix = "dev-", state_key = "dev" } }
  }

  expect_failures = [var.stages]
}

run "refuses_a_stage_within_reach_of_another" {
  command = plan

  variables {
    stages = {
      dev   = { name_prefix = "dev-", state_key = "dev" }
      dev-2 = { name_prefix = "dev-2-", state_key = "dev-2" }
    }
  }

  expect_failures = [var.stages]
}

run "refuses_another_provider_than_githubs" {
  command = plan

  variables {
    github_oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/gitlab.com"
  }

  expect_failures = [var.github_oidc_provider_arn]
}
