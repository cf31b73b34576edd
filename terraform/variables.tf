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
    shard_count: each shard is good for 1 MB/s or 1,000 records/s in; null for on-demand capacity.
    retention_hours: how long a record stays readable.
    kms_key_id: the key that encrypts the records at rest.
  EOT
  type = object({
    shard_count     = optional(number, 1)
    retention_hours = optional(number, 24)
    kms_key_id      = optional(string, "alias/aws/kinesis")
  })
  default  = {}
  nullable = false
}

variable "tables" {
  description = <<-EOT
    GameScoreRecords, GameScoreLedger and GameScoresByUser.
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

variable "process_kinesis_records" {
  description = "ProcessKinesisRecords: memory in MB, timeout in seconds, and its event source mapping (see modules/trigger)."
  type = object({
    memory_size = optional(number, 256)
    timeout     = optional(number, 60)
    mapping = optional(object({
      batch_size                         = optional(number)
      maximum_batching_window_in_seconds = optional(number)
      parallelization_factor             = optional(number)
      maximum_retry_attempts             = optional(number)
      maximum_record_age_in_seconds      = optional(number)
    }), {})
  })
  default  = {}
  nullable = false
}

variable "ingest_scores" {
  description = "Whether ProcessKinesisRecords stores the score events among the payloads in GameScoreRecords; it logs them all either way."
  type        = bool
  default     = true
  nullable    = false
}

variable "aggregate_scores_by_user" {
  description = "AggregateScoresByUser: memory in MB, timeout in seconds, and its event source mapping (see modules/trigger)."
  type = object({
    memory_size = optional(number, 256)
    timeout     = optional(number, 60)
    mapping = optional(object({
      batch_size                         = optional(number)
      maximum_batching_window_in_seconds = optional(number)
      parallelization_factor             = optional(number)
      maximum_retry_attempts             = optional(number)
      maximum_record_age_in_seconds      = optional(number)
    }), {})
  })
  default  = {}
  nullable = false
}

variable "tombstone_days" {
  description = "Days that the ledger remembers a deleted record: longer than any change of it may still be replayed."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = var.tombstone_days >= 2 && floor(var.tombstone_days) == var.tombstone_days
    error_message = "tombstone_days must be whole and at least 2: a table's stream alone can replay a day."
  }
}

variable "failures" {
  description = <<-EOT
    The bucket of what was given up on.
    retention_days: how long a failure is kept.
    force_destroy: whether destroy deletes the bucket even when failures are in it.
  EOT
  type = object({
    retention_days = optional(number, 10)
    force_destroy  = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.failures.retention_days < var.tombstone_days
    error_message = "failures.retention_days must be less than tombstone_days: a failure that is replayed after its record's tombstone is gone would be counted again."
  }
}

variable "log_retention_days" {
  description = "Days that the functions' logs are kept."
  type        = number
  default     = 30
  nullable    = false
}

variable "permissions_boundary" {
  description = "Name of the policy that bounds the functions' roles, as `make bootstrap` prints it: the deploy role makes no role without it. Null for none."
  type        = string
  default     = null
}
