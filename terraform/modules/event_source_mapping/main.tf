resource "aws_lambda_event_source_mapping" "this" {
  event_source_arn = var.event_source_arn
  function_name    = var.function_arn

  # LATEST can miss what is written in the minutes that a new mapping takes to settle:
  # https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
  starting_position = "TRIM_HORIZON"

  batch_size                         = var.mapping.batch_size
  maximum_batching_window_in_seconds = var.mapping.maximum_batching_window_in_seconds
  parallelization_factor             = var.mapping.parallelization_factor

  # One bad record costs neither its neighbours nor the shard: the function names it, Lambda cuts the batch
  # there, and what keeps failing ends in the on-failure bucket with its payload.
  function_response_types        = ["ReportBatchItemFailures"]
  bisect_batch_on_function_error = true
  maximum_retry_attempts         = var.mapping.maximum_retry_attempts
  maximum_record_age_in_seconds  = var.mapping.maximum_record_age_in_seconds

  destination_config {
    on_failure {
      destination_arn = var.failure_destination_arn
    }
  }

  # Without it Lambda does not count what was given up, and what was lost.
  metrics_config {
    metrics = ["EventCount"]
  }
}
