# The system as a whole: what is deployed by default, and what an input changes.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "has_the_labs_names_by_default" {
  command = plan

  assert {
    condition     = output.stream.name == "Demo-Stream"
    error_message = "The stream is Demo-Stream in the lab."
  }

  assert {
    condition = (
      alltrue([for key, table in output.tables : table.name == key])
      && length(setsubtract(["GameScoreRecords", "GameScoreLedger", "GameScoresByUser"], keys(output.tables))) == 0
    )
    error_message = "The lab's tables are GameScoreRecords and GameScoresByUser; the ledger is beside them."
  }

  assert {
    condition = (
      alltrue([for key, function in output.functions : function.name == key])
      && length(setsubtract(["ProcessKinesisRecords", "AggregateScoresByUser"], keys(output.functions))) == 0
    )
    error_message = "The functions are ProcessKinesisRecords and AggregateScoresByUser in the lab."
  }
}

run "deploys_every_function_that_there_is_code_of" {
  command = plan

  assert {
    condition = toset(keys(output.functions)) == toset([
      for file in fileset("../src/handlers", "*/handler.py") :
      join("", [for word in split("_", dirname(file)) : title(word)])
    ])
    error_message = "local.functions in main.tf and the packages with a handler.py in src/handlers are not the same."
  }

  assert {
    condition     = alltrue([for name, package in local.handler_packages : fileexists("../src/handlers/${package}/handler.py")])
    error_message = "A function's code is in the package of its name: ProcessKinesisRecords in process_kinesis_records."
  }
}

run "gives_each_function_its_own_settings_and_the_rest_the_defaults" {
  command = plan

  variables {
    functions = { AggregateScoresByUser = { memory_size = 512, timeout = 30 } }
  }

  assert {
    condition     = module.function["AggregateScoresByUser"].timeout == 30 && module.function["ProcessKinesisRecords"].timeout == 60
    error_message = "A function has the settings under its name, and else those of modules/function."
  }
}

run "refuses_settings_of_a_function_that_there_is_not" {
  command = plan

  variables {
    functions = { AggregateScores = { memory_size = 512 } }
  }

  expect_failures = [var.functions]
}

run "puts_the_prefix_before_every_name" {
  command = plan

  variables {
    name_prefix = "Dev-"
  }

  assert {
    condition = alltrue([for name in concat(
      [output.stream.name],
      values(output.tables)[*].name,
      values(output.functions)[*].name,
      values(output.alarms),
      [output.dashboard],
    ) : startswith(name, "Dev-")])
    error_message = "A name without the prefix would collide with another stage's."
  }

  assert {
    condition     = local.failure_bucket == "dev-game-score-failures-123456789012-eu-central-1"
    error_message = "The bucket's name is in lower case, and says prefix, account and region."
  }
}

run "refuses_a_prefix_that_a_name_cannot_hold" {
  command = plan

  variables {
    name_prefix = "dev_"
  }

  expect_failures = [var.name_prefix]
}

run "wires_each_function_to_its_source" {
  command = apply

  assert {
    condition = alltrue([
      output.tables.GameScoreRecords.stream_arn != null,
      output.tables.GameScoreLedger.stream_arn == null,
      output.tables.GameScoresByUser.stream_arn == null,
    ])
    error_message = "Of the tables, the records alone have a stream: totals must not trigger anything."
  }

  assert {
    condition = (
      output.tables.GameScoresByUser.hash_key == { name = "Username", type = "S" }
      && output.functions.AggregateScoresByUser.event_source_arn == output.tables.GameScoreRecords.stream_arn
    )
    error_message = "The outputs say what a table's key is, and what a function reads."
  }

  assert {
    condition     = output.functions.ProcessKinesisRecords.log_group == "/aws/lambda/ProcessKinesisRecords"
    error_message = "The log group is the one that Lambda writes to by default."
  }
}

run "stores_score_events_by_default" {
  command = plan

  assert {
    condition = (
      local.ingestion.environment.RECORDS_TABLE == "GameScoreRecords"
      && join(" ", keys(local.ingestion.environment)) == "FAILURE_BUCKET RECORDS_TABLE STREAM_ARN"
      && join(" ", keys(local.ingestion.grants)) == "put-records"
    )
    error_message = "ProcessKinesisRecords stores score events in GameScoreRecords, knows whose events count, and may do so."
  }
}

run "only_logs_when_told_to" {
  command = plan

  variables {
    ingest_scores = false
  }

  assert {
    condition     = length(local.ingestion.environment) == 0 && length(local.ingestion.grants) == 0
    error_message = "What is not to be stored needs no table and no grant."
  }
}

run "refuses_failures_too_old_to_redrive" {
  command = plan

  variables {
    failures = { retention_days = 34 }
  }

  expect_failures = [var.failures]
}

run "accepts_failures_of_a_month" {
  command = plan

  variables {
    failures = { retention_days = 33 }
  }

  assert {
    condition     = module.on_failure_bucket.name != ""
    error_message = "33 days of failures can all be redriven."
  }
}

run "takes_no_shards_for_on_demand_capacity" {
  command = plan

  variables {
    stream = { shard_count = 0, partition_key_is_record_id = true }
  }

  assert {
    condition     = local.shard_count == null
    error_message = "shard_count = 0 asks for on-demand capacity."
  }
}

run "knows_each_stage_by_the_name_of_its_file" {
  command = plan

  assert {
    condition = var.stage == "local" && alltrue([
      for file in fileset("stages", "*.tfvars") :
      one(regexall("(?m)^stage += \"([a-z0-9-]+)\"$", file("stages/${file}"))[*][0]) == trimsuffix(file, ".tfvars")
    ])
    error_message = "stage in a stage's .tfvars must be its file's name: make reconcile publishes the metric Drift by it."
  }
}

run "refuses_a_name_that_is_too_long_for_one_of_its_resources" {
  command = plan

  variables {
    name_prefix = "seventeen-letters"
  }

  expect_failures = [var.name_prefix]
}

run "refuses_parallel_batches_where_scores_would_overtake_each_other" {
  command = plan

  variables {
    functions = { ProcessKinesisRecords = { mapping = { parallelization_factor = 2 } } }
  }

  expect_failures = [var.functions]
}

run "refuses_several_shards_where_scores_would_overtake_each_other" {
  command = plan

  variables {
    stream = { shard_count = 2 }
  }

  expect_failures = [var.functions]
}

run "takes_both_where_producers_keep_a_records_events_together" {
  command = plan

  variables {
    stream    = { shard_count = 2, partition_key_is_record_id = true }
    functions = { ProcessKinesisRecords = { mapping = { parallelization_factor = 2 } } }
  }

  assert {
    condition     = length(output.functions) >= 2
    error_message = "Order is kept per partition key."
  }
}

run "takes_both_where_scores_are_only_logged" {
  command = plan

  variables {
    ingest_scores = false
    stream        = { shard_count = 2 }
    functions     = { ProcessKinesisRecords = { mapping = { parallelization_factor = 2 } } }
  }

  assert {
    condition     = length(output.functions) >= 2
    error_message = "What is only logged needs no order."
  }
}

run "refuses_an_account_that_is_none" {
  command = plan

  variables {
    allowed_account_ids = ["my-account"]
  }

  expect_failures = [var.allowed_account_ids]
}

run "refuses_a_key_that_is_only_an_alias" {
  command = plan

  variables {
    kms_key_arn = "alias/scores"
  }

  expect_failures = [var.kms_key_arn]
}
