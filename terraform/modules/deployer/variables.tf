variable "stage" {
  description = "Name of the stage: of its GitHub environment, too."
  type        = string
  nullable    = false

  validation {
    # 64 is the limit of a role's name: stream-processing-<stage>-deploy-<region>.
    condition     = can(regex("^[a-z0-9-]{1,20}$", var.stage))
    error_message = "stage must be 1 to 20 lower-case letters, digits or '-', so that the roles' names fit in 64."
  }
}

variable "name_prefix" {
  description = "What every name of the stage begins with; the roles reach nothing else."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,14}-$", var.name_prefix))
    error_message = "name_prefix must be 2 to 16 letters, digits or '-', and end in '-': without one, the roles would reach the whole account."
  }

  validation {
    condition     = !startswith("stream-processing-", lower(var.name_prefix))
    error_message = "name_prefix must not begin stream-processing-...: the roles would reach the bucket of Terraform's state."
  }
}

variable "github_repository" {
  description = "The repository to trust, as it stands in the sub claim of its workflows' tokens."
  type        = string
  nullable    = false
}

variable "oidc_provider_arn" {
  description = "ARN of the account's identity provider for GitHub."
  type        = string
  nullable    = false
}

variable "state_bucket_arn" {
  description = "ARN of the bucket of Terraform's state."
  type        = string
  nullable    = false
}

variable "state_key" {
  description = "Key of the stage's state in that bucket."
  type        = string
  nullable    = false
}

variable "plan_on_pull_requests" {
  description = "Whether the workflows of a pull request may assume the plan role."
  type        = bool
  default     = false
  nullable    = false
}

variable "kms_key_arns" {
  description = "Customer-managed keys that the stage's data is encrypted with: its functions may use them, too."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "alarms_key_arns" {
  description = "Customer-managed keys that the stage's alarms are encrypted with instead of the key that is created here."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "former_alarms_key_arns" {
  description = "Keys of its own that the stage encrypts its alarms with until its next deploy, which deletes them."
  type        = list(string)
  default     = []
  nullable    = false
}
