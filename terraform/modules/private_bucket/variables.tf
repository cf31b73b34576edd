variable "bucket" {
  description = "The bucket to protect: its name (`id`) and its ARN."
  type        = object({ id = string, arn = string })
  nullable    = false
}

variable "expiration_days" {
  description = "Days after which an object expires; null for never."
  type        = number
  default     = null

  validation {
    condition     = var.expiration_days == null ? true : var.expiration_days >= 1
    error_message = "expiration_days must be at least 1, or null."
  }
}

variable "noncurrent_days" {
  description = "Days that the old version of an object is kept."
  type        = number
  nullable    = false

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "noncurrent_days must be at least 1."
  }
}

variable "newer_noncurrent_versions" {
  description = "How many old versions of an object are kept for longer than that; null for none."
  type        = number
  default     = null
}

variable "kms_key_arn" {
  description = "KMS key that encrypts the objects; null for S3's own."
  type        = string
  default     = null
}
