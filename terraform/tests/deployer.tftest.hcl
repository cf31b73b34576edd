mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  stage             = "dev"
  name_prefix       = "dev-"
  github_repository = "octo-org/scores"
  oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  state_bucket_arn  = "arn:aws:s3:::stream-processing-tfstate-123456789012-eu-central-1"
  state_key         = "stream-processing/dev.tfstate"
}

run "trusts_the_stages_environment_and_main" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  assert {
    condition = { for role, trust in data.aws_iam_policy_document.trust : role => {
      for condition in trust.statement[0].condition : condition.variable => tolist(condition.values)
      } } == {
      deploy = {
        "token.actions.githubusercontent.com:aud" = tolist(["sts.amazonaws.com"])
        "token.actions.githubusercontent.com:sub" = tolist(["repo:octo-org/scores:environment:dev"])
        "token.actions.githubusercontent.com:ref" = tolist(["refs/heads/main"])
      }
      plan = {
        "token.actions.githubusercontent.com:aud" = tolist(["sts.amazonaws.com"])
        "token.actions.githubusercontent.com:sub" = tolist(["repo:octo-org/scores:ref:refs/heads/main"])
      }
      reconcile = {
        "token.actions.githubusercontent.com:aud" = tolist(["sts.amazonaws.com"])
        "token.actions.githubusercontent.com:sub" = tolist(["repo:octo-org/scores:ref:refs/heads/main"])
      }
    }
    error_message = "The environment deploys, from main; main plans and reconciles; nobody else does, unless pull requests may plan."
  }

  assert {
    condition = alltrue(flatten([
      for trust in data.aws_iam_policy_document.trust : [
        for condition in trust.statement[0].condition : condition.test == "StringEquals"
      ]
    ]))
    error_message = "Claims are compared whole, not with a pattern."
  }
}

run "reaches_roles_under_the_stages_path_alone" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.deploy.statement :
      statement.resources == toset(["arn:aws:iam::123456789012:role/stream-processing/dev/dev-*-eu-central-1"])
      if anytrue([for action in statement.actions : startswith(action, "iam:")])
    ])
    error_message = "No role of another path is changed, or passed to Lambda."
  }
}

run "lets_functions_use_keys_of_data_and_not_those_of_alarms" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  variables {
    kms_key_arns    = ["arn:aws:kms:eu-central-1:123456789012:key/data"]
    alarms_key_arns = ["arn:aws:kms:eu-central-1:123456789012:key/alarms"]
  }

  assert {
    condition = [
      for statement in data.aws_iam_policy_document.boundary.statement : statement.resources if statement.sid == "Keys"
    ] == [toset(["arn:aws:kms:eu-central-1:123456789012:key/data"])]
    error_message = "The boundary names the keys of data."
  }
}

run "lets_pull_requests_plan_when_asked" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  variables {
    plan_on_pull_requests = true
  }

  assert {
    condition = { for role, claims in local.claims : role => claims.sub } == {
      deploy    = ["environment:dev"]
      plan      = ["ref:refs/heads/main", "pull_request"]
      reconcile = ["ref:refs/heads/main"]
    }
    error_message = "Pull requests plan, and do nothing else."
  }
}

run "refuses_to_reach_the_whole_account" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  variables {
    name_prefix = ""
  }

  expect_failures = [var.name_prefix]
}

run "refuses_a_prefix_that_reaches_the_state_bucket" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  variables {
    name_prefix = "stream-"
  }

  expect_failures = [var.name_prefix]
}

run "refuses_a_stage_whose_name_leaves_no_room" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  variables {
    stage = "a-stage-of-a-long-name"
  }

  expect_failures = [var.stage]
}
