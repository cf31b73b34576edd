variable "name_prefix" {
  description = "Put before every name, to keep stages and test runs in one account apart: \"dev-\". Empty for the lab's own names."
  type        = string
  default     = ""
  nullable    = false

  validation {
    # 16 is what the bucket's name, the longest, has left of 63 in the region with the longest name.
    condition     = can(regex("^([A-Za-z0-9][A-Za-z0-9-]{0,15})?$", var.name_prefix))
    error_message = "name_prefix must be at most 16 letters, digits or '-', and not begin with '-'."
  }
}

variable "stage" {
  description = "Name of the stage, as the commands know it (STAGE): in the IAM path of its roles, and the dimension of the metric that `make reconcile` publishes."
  type        = string
  default     = "local"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9-]{1,20}$", var.stage))
    error_message = "stage must be 1 to 20 lower-case letters, digits or '-'."
  }
}

variable "allowed_account_ids" {
  description = "AWS accounts that this may be deployed to; null for any."
  type        = set(string)
  default     = null

  validation {
    condition     = var.allowed_account_ids == null ? true : alltrue([for id in var.allowed_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "allowed_account_ids must be account ids of 12 digits."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = { Project = "stream-processing" }
  nullable    = false
}

variable "packages_dir" {
  description = "Folder of the functions' zip files, as made by `make package`."
  type        = string
  default     = "../build"
  nullable    = false
}

variable "stream" {
  description = <<-EOT
    Demo-Stream.
    shard_count: each shard is good for 1 MB/s or 1,000 records/s in; 0 for on-demand capacity.
    retention_hours: how long a record stays readable.
    partition_key_is_record_id: whether producers put score events under their RecordID. Only then is a record's order
    kept by several shards, or several batches of a shard at once.
  EOT
  type = object({
    shard_count                = optional(number, 1)
    retention_hours            = optional(number, 24)
    partition_key_is_record_id = optional(bool, false)
  })
  default  = {}
  nullable = false
}

variable "kms_key_arn" {
  description = <<-EOT
    Customer-managed KMS key that encrypts stream, tables, failures, logs and environments; null for keys that AWS keeps.
    Its policy must let the region's CloudWatch Logs use it: see docs/architecture.md.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be a key's ARN, not an alias: policies name the key itself."
  }
}

variable "tables" {
  description = <<-EOT
    All tables.
    point_in_time_recovery: whether they can be restored to any second of the last 35 days.
    deletion_protection: whether AWS refuses to delete them.
  EOT
  type = object({
    point_in_time_recovery = optional(bool, false)
    deletion_protection    = optional(bool, false)
  })
  default  = {}
  nullable = false
}

variable "functions" {
  description = <<-EOT
    Settings of the functions, by their names in the lab; what is not set is as modules/function and
    modules/event_source_mapping have it.
    memory_size: MB; the processor grows with it.
    timeout: seconds.
    reserved_concurrency: executions kept for the function, which cannot have more.
    mapping: its event source mapping.
  EOT
  type = map(object({
    memory_size          = optional(number)
    timeout              = optional(number)
    reserved_concurrency = optional(number)
    mapping = optional(object({
      batch_size                         = optional(number)
      maximum_batching_window_in_seconds = optional(number)
      parallelization_factor             = optional(number)
      maximum_retry_attempts             = optional(number)
      maximum_record_age_in_seconds      = optional(number)
    }))
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(setsubtract(keys(var.functions), keys(local.functions))) == 0
    error_message = "functions has a function that there is not. Choose of: ${join(", ", keys(local.functions))}."
  }

  # A later score replaces an earlier one, so what overtakes it would win.
  validation {
    condition = (
      !var.ingest_scores || var.stream.partition_key_is_record_id || (
        coalesce(try(var.functions["ProcessKinesisRecords"].mapping.parallelization_factor, null), 1) == 1
        && var.stream.shard_count == 1
      )
    )
    error_message = "Scores of a record would overtake each other: order is kept per partition key alone. Have producers use RecordID as the partition key and set stream.partition_key_is_record_id = true, or keep to one shard and parallelization_factor = 1, or set ingest_scores = false."
  }
}

variable "ingest_scores" {
  description = "Whether ProcessKinesisRecords stores the score events among the payloads in GameScoreRecords; it logs them all either way."
  type        = bool
  default     = true
  nullable    = false
}

variable "failures" {
  description = <<-EOT
    The bucket of records that failed for good.
    retention_days: how long a failure is kept, at most 33 days.
    force_destroy: whether destroy deletes the bucket even when failures are in it.
  EOT
  type = object({
    retention_days = optional(number, 10)
    force_destroy  = optional(bool, false)
  })
  default  = {}
  nullable = false

  # A record may be a day old when it fails, and S3 deletes an expired object within a day or so.
  validation {
    condition     = var.failures.retention_days >= 1 && var.failures.retention_days <= 33
    error_message = "failures.retention_days must be 1 to 33: AggregateScoresByUser does not count a record older than 35 days that its ledger does not know, so an older failure could not be redriven."
  }
}

variable "log_retention_days" {
  description = "Days that the functions' logs are kept."
  type        = number
  default     = 30
  nullable    = false
}

variable "permissions_boundary" {
  description = "Name of the policy that bounds the functions' roles: the deploy role creates no role without it. The commands find the one that `make bootstrap` created for the stage. Null for none."
  type        = string
  default     = null
}

variable "alarms_key_arn" {
  description = "Key to encrypt alarms with. The commands find the one that `make bootstrap` created for the stage. Null for a key of the alarms' own."
  type        = string
  default     = null
}

variable "alarms" {
  description = <<-EOT
    What watches the system (see modules/monitoring).
    kinds: the kinds of alarms to have, which are the sections of docs/runbook.md; [] for none, null for all.
    emails: addresses that they are mailed to.
    kms_key_arn: a customer-managed key to encrypt them with, whose policy lets CloudWatch use it; null for alarms_key_arn.
    runbook_url: where docs/runbook.md can be read.
    thresholds: what each kind tolerates.
  EOT
  type = object({
    kinds       = optional(set(string))
    emails      = optional(set(string), [])
    kms_key_arn = optional(string)
    runbook_url = optional(string)
    thresholds = optional(object({
      errors                 = optional(number)
      throttles              = optional(number)
      timeout_fraction       = optional(number)
      iterator_age_seconds   = optional(number)
      parked                 = optional(number)
      failed                 = optional(number)
      given_up               = optional(number)
      lost                   = optional(number)
      stream_write_throttles = optional(number)
      table_throttles        = optional(number)
      system_errors          = optional(number)
      drift                  = optional(number)
      not_judged             = optional(number)
    }), {})
  })
  default  = {}
  nullable = false
}
