variable "event_source_arn" {
  description = "ARN of the Kinesis stream, or of the DynamoDB table's stream, that triggers the function."
  type        = string
  nullable    = false
}

variable "function_arn" {
  description = "ARN of the function's alias to trigger."
  type        = string
  nullable    = false
}

variable "failure_destination_arn" {
  description = "ARN of the S3 bucket that gets, with their payload, the batches that were given up on."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:s3:::[^/*]+$", var.failure_destination_arn))
    error_message = "failure_destination_arn must be a bucket's ARN: without it, what bisecting a failing batch isolates would be lost."
  }
}

variable "source_retention_hours" {
  description = "Hours that the stream keeps a record; a table's stream keeps it for 24."
  type        = number
  default     = 24
  nullable    = false
}

variable "mapping" {
  description = <<-EOT
    How records become invocations.
    batch_size: records in one invocation, at most.
    maximum_batching_window_in_seconds: how long to wait for a fuller batch; 0 for not at all.
    parallelization_factor: batches of one shard in flight at once; order is kept per partition key.
    maximum_retry_attempts: invocations after the first before a failing batch is given up.
    maximum_record_age_in_seconds: age at which a failing record is given up; less than the stream keeps it.
  EOT
  type = object({
    batch_size                         = optional(number, 100)
    maximum_batching_window_in_seconds = optional(number, 0)
    parallelization_factor             = optional(number, 1)
    maximum_retry_attempts             = optional(number, 10)
    maximum_record_age_in_seconds      = optional(number, 21600)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.mapping.batch_size >= 1 && var.mapping.batch_size <= 10000
    error_message = "batch_size must be 1 to 10000."
  }

  validation {
    condition     = var.mapping.maximum_batching_window_in_seconds >= 0 && var.mapping.maximum_batching_window_in_seconds <= 300
    error_message = "maximum_batching_window_in_seconds must be 0 to 300."
  }

  validation {
    condition     = var.mapping.parallelization_factor >= 1 && var.mapping.parallelization_factor <= 10
    error_message = "parallelization_factor must be 1 to 10."
  }

  validation {
    condition     = var.mapping.maximum_retry_attempts >= 0 && var.mapping.maximum_retry_attempts <= 10000
    error_message = "maximum_retry_attempts must be 0 to 10000, and finite: -1 lets one bad record block a shard until it expires."
  }

  # A shard takes 1,000 records a second, and so does the partition behind a shard of a table's stream:
  # https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
  validation {
    condition = var.mapping.maximum_batching_window_in_seconds == 0 ? true : (
      var.mapping.batch_size > 1 && var.mapping.batch_size <= 1000 * var.mapping.maximum_batching_window_in_seconds
    )
    error_message = "A window waits for batch_size records, which must be 2 or more, and at most 1,000 for each of its seconds: a shard takes in no more. Lower batch_size, or change maximum_batching_window_in_seconds."
  }

  validation {
    condition     = var.mapping.maximum_record_age_in_seconds >= 60 && var.mapping.maximum_record_age_in_seconds <= 604800
    error_message = "maximum_record_age_in_seconds must be 60 to 604800 (a week), and finite: with -1 a failing record could block a shard until it expires."
  }

  validation {
    condition     = var.mapping.maximum_record_age_in_seconds < 3600 * var.source_retention_hours
    error_message = "maximum_record_age_in_seconds must be less than the ${3600 * var.source_retention_hours} seconds that the stream keeps a record, so that the record is given up, and kept, before it expires."
  }
}
