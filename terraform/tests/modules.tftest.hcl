# Each module: its defaults, and what it refuses.

mock_provider "aws" {
  source = "./tests/mocks"
}

# Of the trigger and of the deployer.
variables {
  stage                   = "dev"
  name_prefix             = "dev-"
  github_repository       = "octo-org/scores"
  oidc_provider_arn       = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  state_bucket_arn        = "arn:aws:s3:::stream-processing-tfstate-123456789012-eu-central-1"
  state_key               = "stream-processing/dev.tfstate"
  event_source_arn        = "arn:aws:kinesis:eu-central-1:123456789012:stream/Demo-Stream"
  function_arn            = "arn:aws:lambda:eu-central-1:123456789012:function:ProcessKinesisRecords:live"
  failure_destination_arn = "arn:aws:s3:::game-score-failures"
}

# stream

run "stream_is_one_encrypted_shard_by_default" {
  command = plan

  module {
    source = "./modules/stream"
  }

  variables {
    name = "Demo-Stream"
  }

  assert {
    condition = (
      aws_kinesis_stream.this.shard_count == 1
      && aws_kinesis_stream.this.stream_mode_details[0].stream_mode == "PROVISIONED"
      && aws_kinesis_stream.this.retention_period == 24
    )
    error_message = "The lab's stream has one shard and keeps records for 24 hours."
  }

  assert {
    condition     = aws_kinesis_stream.this.encryption_type == "KMS" && aws_kinesis_stream.this.kms_key_id == "alias/aws/kinesis"
    error_message = "Records are encrypted at rest."
  }
}

run "stream_without_shard_count_is_on_demand" {
  command = plan

  module {
    source = "./modules/stream"
  }

  variables {
    name        = "Demo-Stream"
    shard_count = null
  }

  assert {
    condition     = aws_kinesis_stream.this.stream_mode_details[0].stream_mode == "ON_DEMAND"
    error_message = "A stream with no shard count scales on demand."
  }
}

run "stream_refuses_a_retention_that_kinesis_does_not_offer" {
  command = plan

  module {
    source = "./modules/stream"
  }

  variables {
    name            = "Demo-Stream"
    retention_hours = 12
  }

  expect_failures = [var.retention_hours]
}

run "stream_refuses_no_shards_and_half_shards" {
  command = plan

  module {
    source = "./modules/stream"
  }

  variables {
    name        = "Demo-Stream"
    shard_count = 1.5
  }

  expect_failures = [var.shard_count]
}

run "stream_lets_a_reader_read_and_decrypt_it_and_nothing_else" {
  command = apply

  module {
    source = "./modules/stream"
  }

  variables {
    name        = "Demo-Stream"
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = { for statement in data.aws_iam_policy_document.read.statement : statement.sid => [statement.actions, statement.resources] } == {
      ReadStream = [
        toset(["kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"]),
        toset([aws_kinesis_stream.this.arn]),
      ]
      DecryptRecords = [toset(["kms:Decrypt"]), toset([var.kms_key_arn])]
    }
    error_message = "A reader needs five actions on this stream, and to decrypt with its key."
  }

  assert {
    condition = (
      one(data.aws_iam_policy_document.read.statement[1].condition).variable == "kms:EncryptionContext:aws:kinesis:arn"
      && one(data.aws_iam_policy_document.read.statement[1].condition).values == tolist([aws_kinesis_stream.this.arn])
    )
    error_message = "A reader decrypts nothing but this stream's records."
  }
}

# table

run "table_is_on_demand_encrypted_and_silent_by_default" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    name     = "GameScoresByUser"
    hash_key = { name = "Username", type = "S" }
  }

  assert {
    condition = (
      aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST"
      && !aws_dynamodb_table.this.server_side_encryption[0].enabled
      && !aws_dynamodb_table.this.stream_enabled
      && output.stream_arn == null
      && output.read_stream_policy == null
    )
    error_message = "A table bills on demand, is encrypted with DynamoDB's own key, and has no stream unless asked for."
  }
}

# A key that is turned on, changed and taken away: each is planned against the state that the run before has left.

run "table_is_created_with_a_key" {
  module {
    source = "./modules/table"
  }

  variables {
    name        = "GameScoresByUser"
    hash_key    = { name = "Username", type = "S" }
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
  }

  assert {
    condition     = aws_dynamodb_table.this.server_side_encryption[0].enabled
    error_message = "A table with a key is encrypted with it."
  }
}

run "table_plans_another_key" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    name        = "GameScoresByUser"
    hash_key    = { name = "Username", type = "S" }
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/2"
  }

  assert {
    condition     = aws_dynamodb_table.this.server_side_encryption[0].kms_key_arn == var.kms_key_arn
    error_message = "A change of key is planned."
  }
}

run "table_plans_to_let_go_of_its_key" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    name     = "GameScoresByUser"
    hash_key = { name = "Username", type = "S" }
  }

  assert {
    condition     = !aws_dynamodb_table.this.server_side_encryption[0].enabled
    error_message = "The provider keeps kms_key_arn where it is null, so only a change of enabled takes a key away."
  }
}

run "table_lets_go_of_its_key" {
  module {
    source = "./modules/table"
  }

  variables {
    name     = "GameScoresByUser"
    hash_key = { name = "Username", type = "S" }
  }
}

run "table_plans_a_key_where_it_had_none" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    name        = "GameScoresByUser"
    hash_key    = { name = "Username", type = "S" }
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
  }

  assert {
    condition = (
      aws_dynamodb_table.this.server_side_encryption[0].enabled
      && aws_dynamodb_table.this.server_side_encryption[0].kms_key_arn == var.kms_key_arn
    )
    error_message = "A first key is planned."
  }
}

run "table_streams_expires_and_protects_when_asked" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    name                   = "GameScoreRecords"
    hash_key               = { name = "RecordID", type = "N" }
    stream_view_type       = "NEW_IMAGE"
    ttl_attribute          = "ExpiresAt"
    point_in_time_recovery = true
    deletion_protection    = true
  }

  assert {
    condition = (
      aws_dynamodb_table.this.stream_view_type == "NEW_IMAGE"
      && aws_dynamodb_table.this.ttl[0].attribute_name == "ExpiresAt"
      && aws_dynamodb_table.this.point_in_time_recovery[0].enabled
      && aws_dynamodb_table.this.deletion_protection_enabled
    )
    error_message = "Stream, expiry, recovery and protection are what the inputs say."
  }
}

run "table_refuses_a_key_type_that_dynamodb_does_not_have" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    name     = "GameScoreRecords"
    hash_key = { name = "RecordID", type = "Number" }
  }

  expect_failures = [var.hash_key]
}

run "table_refuses_an_unknown_view_type" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    name             = "GameScoreRecords"
    hash_key         = { name = "RecordID", type = "N" }
    stream_view_type = "NEW"
  }

  expect_failures = [var.stream_view_type]
}

run "table_lets_each_user_do_one_thing_to_it_alone" {
  command = apply

  module {
    source = "./modules/table"
  }

  variables {
    name             = "GameScoreRecords"
    hash_key         = { name = "RecordID", type = "N" }
    stream_view_type = "NEW_IMAGE"
    kms_key_arn      = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = {
      for statement in concat(
        data.aws_iam_policy_document.batch_get.statement,
        data.aws_iam_policy_document.put_item.statement,
        data.aws_iam_policy_document.update_item.statement,
        data.aws_iam_policy_document.read_stream["NEW_IMAGE"].statement,
      ) : statement.sid => [statement.actions, statement.resources]
      } == {
      BatchGetItem     = [toset(["dynamodb:BatchGetItem"]), toset([aws_dynamodb_table.this.arn])]
      PutItem          = [toset(["dynamodb:PutItem"]), toset([aws_dynamodb_table.this.arn])]
      UpdateItem       = [toset(["dynamodb:UpdateItem"]), toset([aws_dynamodb_table.this.arn])]
      ReadTableStream  = [toset(["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]), toset([aws_dynamodb_table.this.stream_arn])]
      ListTableStreams = [toset(["dynamodb:ListStreams"]), toset(["${aws_dynamodb_table.this.arn}/stream/*"])]
    }
    error_message = "Each policy is for one way to use this table, and no other table."
  }

  assert {
    condition = (
      data.aws_iam_policy_document.use_key.statement[0].resources == toset([var.kms_key_arn])
      && one(data.aws_iam_policy_document.use_key.statement[0].condition).variable == "kms:ViaService"
      && one(data.aws_iam_policy_document.use_key.statement[0].condition).values == tolist(["dynamodb.eu-central-1.amazonaws.com"])
    )
    error_message = "The key is used through DynamoDB alone."
  }
}

# function

run "function_logs_as_json_to_a_group_that_expires" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name        = "AggregateScoresByUser"
    description = "Adds up scores"
    package     = "modules/function/main.tf" # any file: nothing is deployed
    handler     = "handlers.aggregate_scores_by_user.handler.handler"
    grants      = { update-totals = "{}" }
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

run "function_publishes_every_change_and_shares_the_accounts_concurrency" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name        = "AggregateScoresByUser"
    description = "Adds up scores"
    package     = "modules/function/main.tf"
    handler     = "handlers.aggregate_scores_by_user.handler.handler"
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

run "function_encrypts_with_a_key_and_reserves_when_asked" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name                 = "AggregateScoresByUser"
    description          = "Adds up scores"
    package              = "modules/function/main.tf"
    handler              = "handlers.aggregate_scores_by_user.handler.handler"
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

run "function_refuses_to_reserve_nothing" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name                 = "AggregateScoresByUser"
    description          = "Adds up scores"
    package              = "modules/function/main.tf"
    handler              = "handlers.aggregate_scores_by_user.handler.handler"
    reserved_concurrency = 0
  }

  expect_failures = [var.reserved_concurrency]
}

run "function_refuses_what_lambda_does" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name               = "AggregateScoresByUser-with-a-name-that-is-too-long-for-its-role"
    description        = "Adds up scores"
    package            = "build/missing.zip"
    handler            = "handler.handler"
    memory_size        = 64
    timeout            = 901
    log_retention_days = 31
    role_path          = "/"
  }

  expect_failures = [var.name, var.package, var.memory_size, var.timeout, var.log_retention_days, var.role_path]
}

run "function_may_write_its_own_log_and_is_run_for_this_account" {
  command = apply

  module {
    source = "./modules/function"
  }

  variables {
    name        = "AggregateScoresByUser"
    description = "Adds up scores"
    package     = "modules/function/main.tf"
    handler     = "handlers.aggregate_scores_by_user.handler.handler"
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

# trigger

run "trigger_contains_failures_by_default" {
  command = plan

  module {
    source = "./modules/trigger"
  }

  assert {
    condition = (
      aws_lambda_event_source_mapping.this.starting_position == "TRIM_HORIZON"
      && aws_lambda_event_source_mapping.this.function_response_types == toset(["ReportBatchItemFailures"])
      && aws_lambda_event_source_mapping.this.bisect_batch_on_function_error
      && aws_lambda_event_source_mapping.this.maximum_retry_attempts == 10
      && aws_lambda_event_source_mapping.this.maximum_record_age_in_seconds == 21600
      && aws_lambda_event_source_mapping.this.destination_config[0].on_failure[0].destination_arn == "arn:aws:s3:::game-score-failures"
    )
    error_message = "No record is missed, none is retried forever, and what is given up is kept."
  }
}

run "trigger_refuses_infinite_retries" {
  command = plan

  module {
    source = "./modules/trigger"
  }

  variables {
    mapping = { maximum_retry_attempts = -1 }
  }

  expect_failures = [var.mapping]
}

run "trigger_refuses_a_record_age_that_the_stream_may_outlive" {
  command = plan

  module {
    source = "./modules/trigger"
  }

  variables {
    mapping = { maximum_record_age_in_seconds = 86400 }
  }

  expect_failures = [var.mapping]
}

run "trigger_takes_that_age_when_the_stream_keeps_records_for_longer" {
  command = plan

  module {
    source = "./modules/trigger"
  }

  variables {
    source_retention_hours = 25
    mapping                = { maximum_record_age_in_seconds = 86400 }
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this.maximum_record_age_in_seconds == 86400
    error_message = "A day is less than the 25 hours that this stream keeps a record."
  }
}

run "trigger_refuses_an_infinite_record_age" {
  command = plan

  module {
    source = "./modules/trigger"
  }

  variables {
    mapping = { maximum_record_age_in_seconds = -1 }
  }

  expect_failures = [var.mapping]
}

run "trigger_refuses_a_window_with_more_records_than_a_shard_takes_in_meanwhile" {
  command = plan

  module {
    source = "./modules/trigger"
  }

  variables {
    mapping = { batch_size = 5001, maximum_batching_window_in_seconds = 5 }
  }

  expect_failures = [var.mapping]
}

run "trigger_refuses_a_window_for_a_batch_of_one" {
  command = plan

  module {
    source = "./modules/trigger"
  }

  variables {
    mapping = { batch_size = 1, maximum_batching_window_in_seconds = 5 }
  }

  expect_failures = [var.mapping]
}

run "trigger_refuses_to_bisect_without_a_failure_destination" {
  command = plan

  module {
    source = "./modules/trigger"
  }

  variables {
    failure_destination_arn = ""
  }

  expect_failures = [var.failure_destination_arn]
}

run "trigger_refuses_a_batch_larger_than_lambda_takes" {
  command = plan

  module {
    source = "./modules/trigger"
  }

  variables {
    mapping = { batch_size = 10001 }
  }

  expect_failures = [var.mapping]
}

run "trigger_refuses_a_window_longer_than_five_minutes" {
  command = plan

  module {
    source = "./modules/trigger"
  }

  variables {
    mapping = { maximum_batching_window_in_seconds = 301 }
  }

  expect_failures = [var.mapping]
}

run "trigger_refuses_more_than_ten_batches_of_a_shard_at_once" {
  command = plan

  module {
    source = "./modules/trigger"
  }

  variables {
    mapping = { parallelization_factor = 11 }
  }

  expect_failures = [var.mapping]
}

# failure store

run "failure_store_is_private_encrypted_versioned_and_expires" {
  command = plan

  module {
    source = "./modules/failure_store"
  }

  variables {
    bucket = "game-score-failures-123456789012-eu-central-1"
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Records hold people's data: nobody else may read them."
  }

  assert {
    condition = (
      aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
      && aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration[0].days == 10
      && one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    )
    error_message = "A failure is encrypted, not overwritten, and kept for 10 days."
  }

  assert {
    condition     = !aws_s3_bucket.this.force_destroy
    error_message = "Failures are kept unless told otherwise."
  }
}

run "failure_store_refuses_a_name_that_s3_does_not_take" {
  command = plan

  module {
    source = "./modules/failure_store"
  }

  variables {
    bucket = "Failures"
  }

  expect_failures = [var.bucket]
}

run "failure_store_encrypts_with_a_key_when_asked" {
  command = plan

  module {
    source = "./modules/failure_store"
  }

  variables {
    bucket      = "game-score-failures-123456789012-eu-central-1"
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = (
      one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn
      && one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled
    )
    error_message = "Failures are encrypted with the key that is given."
  }
}

run "failure_store_takes_failures_from_a_writer_and_gives_none_back" {
  command = apply

  module {
    source = "./modules/failure_store"
  }

  variables {
    bucket      = "game-score-failures-123456789012-eu-central-1"
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = { for statement in data.aws_iam_policy_document.write.statement : statement.sid => [statement.actions, statement.resources] } == {
      ListFailures    = [toset(["s3:ListBucket"]), toset([aws_s3_bucket.this.arn])]
      PutFailures     = [toset(["s3:PutObject"]), toset(["${aws_s3_bucket.this.arn}/*"])]
      EncryptFailures = [toset(["kms:Decrypt", "kms:GenerateDataKey"]), toset([var.kms_key_arn])]
    }
    error_message = "A writer puts failures into this bucket, encrypted with its key, and reads none."
  }

  assert {
    condition = {
      for statement in data.aws_iam_policy_document.write.statement :
      statement.sid => "${one(statement.condition).variable} ${one(one(statement.condition).values)}"
      } == {
      ListFailures    = "aws:ResourceAccount 123456789012"
      PutFailures     = "aws:ResourceAccount 123456789012"
      EncryptFailures = "kms:ViaService s3.eu-central-1.amazonaws.com"
    }
    error_message = "Failures go to a bucket of this account, and the key is used through S3 alone."
  }
}

# alarms_key

run "alarms_key_is_used_by_cloudwatch_for_alarms_of_these_names_alone" {
  command = plan

  module {
    source = "./modules/alarms_key"
  }

  variables {
    description = "Encrypts the alarms of stage dev"
    name_prefix = "dev-"
  }

  assert {
    condition = (
      aws_kms_key.this.enable_key_rotation
      && { for one in data.aws_iam_policy_document.key.statement[1].condition : one.variable => one.values[0] } == {
        "aws:SourceAccount" = "123456789012"
        "aws:SourceArn"     = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:dev-*"
      }
    )
    error_message = "The key rotates, and no other alarm is encrypted with it."
  }
}

# deployer

run "deployer_trusts_the_stages_environment_and_main" {
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

run "deployer_reaches_roles_under_the_stages_path_alone" {
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

run "deployer_lets_functions_use_keys_of_data_and_not_those_of_alarms" {
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

run "deployer_lets_pull_requests_plan_when_asked" {
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

run "deployer_refuses_to_reach_the_whole_account" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  variables {
    name_prefix = ""
  }

  expect_failures = [var.name_prefix]
}

run "deployer_refuses_a_prefix_that_reaches_the_state_bucket" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  variables {
    name_prefix = "stream-"
  }

  expect_failures = [var.name_prefix]
}

run "deployer_refuses_a_stage_whose_name_leaves_no_room" {
  command = plan

  module {
    source = "./modules/deployer"
  }

  variables {
    stage = "a-stage-of-a-long-name"
  }

  expect_failures = [var.stage]
}
