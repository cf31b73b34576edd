variable "state_bucket" {
  description = "Name of the bucket of Terraform's state; it is there already, since this root keeps its own state in it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "state_bucket must be 3 to 63 lower-case letters, digits, '.' or '-'."
  }
}

variable "github_repository" {
  description = <<-EOT
    The GitHub repository whose workflows may deploy, as it stands in the sub claim of their tokens: "owner/name", or
    "owner@123/name@456" where GitHub adds its ids (repositories made since July 2026). This prints it, after "repo:":
    gh api repos/<owner>/<name>/actions/oidc/customization/sub --jq .sub_claim_prefix. Null for no roles.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null ? true : can(regex("^[A-Za-z0-9-]+(@[0-9]+)?/[A-Za-z0-9._-]+(@[0-9]+)?$", var.github_repository))
    error_message = "github_repository must be owner/name, or owner@<id>/name@<id>, with no pattern in it: a '*' would trust strangers."
  }
}

variable "github_oidc_provider_arn" {
  description = "ARN of the account's identity provider for GitHub, where there is one: an account has at most one a URL. Null to make it."
  type        = string
  default     = null

  validation {
    condition     = var.github_oidc_provider_arn == null ? true : can(regex(":oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.github_oidc_provider_arn))
    error_message = "github_oidc_provider_arn must end in :oidc-provider/token.actions.githubusercontent.com."
  }
}

variable "stages" {
  description = <<-EOT
    The stages that GitHub deploys to this account, by name.
    name_prefix: the stage's own; its roles reach what begins with it, and nothing else.
    state_key: where the stage keeps its state in the bucket.
    plan_on_pull_requests: whether the workflows of a pull request may read the stage, to plan.
    kms_key_arns: the customer-managed keys that the stage's data is encrypted with.
    alarms_key_arns: those that its alarms are encrypted with, instead of the one that is created here.
    former_alarms_key_arns: keys of its own that it encrypts its alarms with until its next deploy.
  EOT
  type = map(object({
    name_prefix           = string
    state_key             = string
    plan_on_pull_requests = optional(bool, false)
    kms_key_arns          = optional(list(string), [])

    alarms_key_arns        = optional(list(string), [])
    former_alarms_key_arns = optional(list(string), [])
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(var.stages) == 0 || var.github_repository != null
    error_message = "stages need a github_repository to trust: make bootstrap GITHUB=<owner>/<name>."
  }

  validation {
    condition = alltrue([
      for name, stage in var.stages : alltrue([
        for other_name, other in var.stages :
        name == other_name || !startswith(lower(other.name_prefix), lower(stage.name_prefix))
      ])
    ])
    error_message = "No stage's name_prefix may begin with another's: the roles of \"dev-\" would reach what \"dev-2-\" names."
  }
}

variable "allowed_account_ids" {
  description = "AWS accounts that this may be applied to; null for any."
  type        = set(string)
  default     = null
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = { Project = "stream-processing" }
  nullable    = false
}
