variable "name" {
  description = "Name of the Kinesis stream."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{1,128}$", var.name))
    error_message = "name must be 1 to 128 letters, digits, '_', '.' or '-'."
  }
}

variable "shard_count" {
  description = "Number of shards, each good for 1 MB/s or 1,000 records/s in; null for on-demand capacity."
  type        = number
  default     = 1

  validation {
    condition     = var.shard_count == null ? true : var.shard_count >= 1 && floor(var.shard_count) == var.shard_count
    error_message = "shard_count must be a whole number of at least 1, or null for on-demand capacity."
  }
}

variable "retention_hours" {
  description = "Hours that a record stays readable."
  type        = number
  default     = 24
  nullable    = false

  validation {
    condition     = var.retention_hours >= 24 && var.retention_hours <= 8760
    error_message = "retention_hours must be 24 to 8760 (a year)."
  }
}

variable "kms_key_arn" {
  description = "KMS key that encrypts the records; null for the one that AWS keeps for Kinesis in this account."
  type        = string
  default     = null
}
