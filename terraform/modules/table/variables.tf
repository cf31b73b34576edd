variable "name" {
  description = "Name of the table."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{3,255}$", var.name))
    error_message = "name must be 3 to 255 letters, digits, '_', '.' or '-'."
  }
}

variable "hash_key" {
  description = "Partition key: its name, and its type S (String), N (Number) or B (Binary)."
  type        = object({ name = string, type = string })
  nullable    = false

  validation {
    condition     = contains(["S", "N", "B"], var.hash_key.type)
    error_message = "hash_key.type must be S, N or B."
  }
}

variable "stream_view_type" {
  description = "What the table's stream shows of a change: KEYS_ONLY, NEW_IMAGE, OLD_IMAGE or NEW_AND_OLD_IMAGES; null for no stream."
  type        = string
  default     = null

  validation {
    condition = var.stream_view_type == null ? true : contains(
      ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"], var.stream_view_type
    )
    error_message = "stream_view_type must be KEYS_ONLY, NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES or null."
  }
}

variable "ttl_attribute" {
  description = "Attribute with the time, in seconds since the epoch, after which DynamoDB deletes an item; null for never."
  type        = string
  default     = null
}

variable "point_in_time_recovery" {
  description = "Whether the table can be restored to any second of the last 35 days."
  type        = bool
  default     = false
  nullable    = false
}

variable "kms_key_arn" {
  description = "KMS key that encrypts the items; null for one that DynamoDB owns."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the table."
  type        = bool
  default     = false
  nullable    = false
}
