variable "bucket" {
  description = "Name of the bucket; unique in the whole of AWS."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket must be 3 to 63 lower-case letters, digits or '-'."
  }
}

variable "retention_days" {
  description = "Days that a failure is kept, to be looked at and replayed."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.retention_days >= 1
    error_message = "retention_days must be at least 1."
  }
}

variable "force_destroy" {
  description = "Whether destroy deletes the bucket even when failures are in it."
  type        = bool
  default     = false
  nullable    = false
}

variable "kms_key_arn" {
  description = "KMS key that encrypts the failures; null for S3's own."
  type        = string
  default     = null
}
