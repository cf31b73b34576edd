variable "name" {
  description = "Name of the function."
  type        = string
  nullable    = false

  validation {
    # 64 is the limit of a role's name, which is the function's name and the region's.
    condition     = can(regex("^[A-Za-z0-9_-]{1,48}$", var.name))
    error_message = "name must be 1 to 48 letters, digits, '_' or '-', so that the role's name fits in 64."
  }
}

variable "description" {
  description = "What the function does, in a few words."
  type        = string
  nullable    = false
}

variable "package" {
  description = "Path of the function's zip file, as made by `make package`."
  type        = string
  nullable    = false

  validation {
    condition     = fileexists(var.package)
    error_message = "There is no such package. Run `make package` first."
  }
}

variable "handler" {
  description = "Entry point in the package: <module>.<function>."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "Environment variables of the function."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "grants" {
  description = "What the function may do besides writing its logs: policy documents (JSON) by the name of the grant."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "memory_size" {
  description = "Memory in MB; CPU grows with it, up to a full core at 1,769 MB."
  type        = number
  default     = 256
  nullable    = false

  validation {
    condition     = var.memory_size >= 128 && var.memory_size <= 10240 && floor(var.memory_size) == var.memory_size
    error_message = "memory_size must be 128 to 10240 whole MB."
  }
}

variable "timeout" {
  description = "Seconds after which Lambda ends an invocation."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.timeout >= 1 && var.timeout <= 900 && floor(var.timeout) == var.timeout
    error_message = "timeout must be 1 to 900 whole seconds: Lambda, here as in AWS, ends any invocation after 15 minutes."
  }
}

variable "log_retention_days" {
  description = "Days that the function's logs are kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days
    )
    error_message = "log_retention_days must be one of CloudWatch's: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ... 3653."
  }
}

variable "role_path" {
  description = "IAM path of the function's role. A policy that names the path cannot reach any other role of the account."
  type        = string
  default     = "/stream-processing/"
  nullable    = false

  validation {
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    condition     = can(regex("^/([A-Za-z0-9_-]+/)+$", var.role_path)) && length(var.role_path) <= 512
    error_message = "role_path must begin and end in '/' and name something in between, such as /stream-processing/dev/."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of the policy that bounds the function's role, whatever it is granted; null for none."
  type        = string
  default     = null
}

variable "reserved_concurrency" {
  description = "Executions that are kept for this function out of the account's, and that it cannot exceed; null to share them all."
  type        = number
  default     = null

  validation {
    condition     = var.reserved_concurrency == null ? true : var.reserved_concurrency >= 1 && floor(var.reserved_concurrency) == var.reserved_concurrency
    error_message = "reserved_concurrency must be a whole number of at least 1, or null: with 0 the function would never run."
  }
}

variable "kms_key_arn" {
  description = "KMS key that encrypts the function's logs and its environment; null for keys of AWS's own."
  type        = string
  default     = null
}
