mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  event_source_arn        = "arn:aws:kinesis:eu-central-1:123456789012:stream/Demo-Stream"
  function_arn            = "arn:aws:lambda:eu-central-1:123456789012:function:ProcessKinesisRecords:live"
  failure_destination_arn = "arn:aws:s3:::game-score-failures"
}

run "contains_failures_by_default" {
  command = plan

  module {
    source = "./modules/event_source_mapping"
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

run "refuses_infinite_retries" {
  command = plan

  module {
    source = "./modules/event_source_mapping"
  }

  variables {
    mapping = { maximum_retry_attempts = -1 }
  }

  expect_failures = [var.mapping]
}

run "refuses_a_record_age_that_the_stream_may_outlive" {
  command = plan

  module {
    source = "./modules/event_source_mapping"
  }

  variables {
    mapping = { maximum_record_age_in_seconds = 86400 }
  }

  expect_failures = [var.mapping]
}

run "takes_that_age_when_the_stream_keeps_records_for_longer" {
  command = plan

  module {
    source = "./modules/event_source_mapping"
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

run "refuses_an_infinite_record_age" {
  command = plan

  module {
    source = "./modules/event_source_mapping"
  }

  variables {
    mapping = { maximum_record_age_in_seconds = -1 }
  }

  expect_failures = [var.mapping]
}

run "refuses_a_window_with_more_records_than_a_shard_takes_in_meanwhile" {
  command = plan

  module {
    source = "./modules/event_source_mapping"
  }

  variables {
    mapping = { batch_size = 5001, maximum_batching_window_in_seconds = 5 }
  }

  expect_failures = [var.mapping]
}

run "refuses_a_window_for_a_batch_of_one" {
  command = plan

  module {
    source = "./modules/event_source_mapping"
  }

  variables {
    mapping = { batch_size = 1, maximum_batching_window_in_seconds = 5 }
  }

  expect_failures = [var.mapping]
}

run "refuses_to_bisect_without_a_failure_destination" {
  command = plan

  module {
    source = "./modules/event_source_mapping"
  }

  variables {
    failure_destination_arn = ""
  }

  expect_failures = [var.failure_destination_arn]
}

run "refuses_a_batch_larger_than_lambda_takes" {
  command = plan

  module {
    source = "./modules/event_source_mapping"
  }

  variables {
    mapping = { batch_size = 10001 }
  }

  expect_failures = [var.mapping]
}

run "refuses_a_window_longer_than_five_minutes" {
  command = plan

  module {
    source = "./modules/event_source_mapping"
  }

  variables {
    mapping = { maximum_batching_window_in_seconds = 301 }
  }

  expect_failures = [var.mapping]
}

run "refuses_more_than_ten_batches_of_a_shard_at_once" {
  command = plan

  module {
    source = "./modules/event_source_mapping"
  }

  variables {
    mapping = { parallelization_factor = 11 }
  }

  expect_failures = [var.mapping]
}
