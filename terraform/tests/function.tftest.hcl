mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name        = "AggregateScoresByUser"
  description = "Adds up scores"
  package     = "modules/function/main.tf" # any file: nothing is deployed
  handler     = "handlers.aggregate_scores_by_user.handler.handler"
}

run "logs_as_json_to_a_group_that_expires" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    grants = { update-totals = "{}" }
  }

  assert {
    condition = (
      aws_lambda_function.this.runtime == "python3.13"
      && aws_lambda_function.this.architectures == tolist(["arm64"])
      && aws_lambda_function.this.logging_config[0].log_format == "JSON"
      && aws_cloudwatch_log_group.this.retention_in_days == 30
    )
    error_message = "A function runs python3.13 on arm64 and logs JSON, which is kept for 30 days."
  }

  assert {
    condition     = join(" ", keys(aws_iam_role_policy.grant)) == "update-totals write-logs"
    error_message = "A function's role has what it was granted, and may write its logs."
  }
}

run "publishes_every_change_and_shares_the_accounts_concurrency" {
  command = plan

  module {
    source = "./modules/function"
  }

  assert {
    condition     = aws_lambda_function.this.publish && aws_lambda_alias.live.name == "live"
    error_message = "A rollback needs versions, and triggers need an alias that moves."
  }

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == -1
    error_message = "Nothing is reserved unless asked for."
  }
}

run "encrypts_with_a_key_and_reserves_when_asked" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    reserved_concurrency = 5
    kms_key_arn          = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = (
      aws_lambda_function.this.kms_key_arn == var.kms_key_arn
      && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
      && aws_lambda_function.this.reserved_concurrent_executions == 5
    )
    error_message = "Environment and logs are encrypted with the key that is given."
  }
}

run "refuses_to_reserve_nothing" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    reserved_concurrency = 0
  }

  expect_failures = [var.reserved_concurrency]
}

run "refuses_what_lambda_does" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name               = "AggregateScoresByUser-with-a-name-that-is-too-long-for-its-role"
    package            = "build/missing.zip"
    handler            = "handler.handler"
    memory_size        = 64
    timeout            = 901
    log_retention_days = 31
    role_path          = "/"
  }

  expect_failures = [var.name, var.package, var.memory_size, var.timeout, var.log_retention_days, var.role_path]
}

run "may_write_its_own_log_and_is_run_for_this_account" {
  command = apply

  module {
    source = "./modules/function"
  }

  assert {
    condition = (
      one(data.aws_iam_policy_document.log.statement).actions == toset(["logs:CreateLogStream", "logs:PutLogEvents"])
      && one(data.aws_iam_policy_document.log.statement).resources == toset(["${aws_cloudwatch_log_group.this.arn}:*"])
    )
    error_message = "A function writes to its own log group, which it need not create."
  }

  assert {
    condition = (
      one(one(data.aws_iam_policy_document.assume.statement).principals).identifiers == toset(["lambda.amazonaws.com"])
      && one(one(data.aws_iam_policy_document.assume.statement).condition).variable == "aws:SourceAccount"
      && one(one(data.aws_iam_policy_document.assume.statement).condition).values == tolist(["123456789012"])
    )
    error_message = "Lambda may use the role for this account alone."
  }
}
