variable "description" {
  description = "What the key is for, in a few words."
  type        = string
  nullable    = false
}

variable "name_prefix" {
  description = "What the names of the alarms begin with."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.name_prefix) > 0
    error_message = "name_prefix must not be empty: every alarm of the account could use the key."
  }
}
