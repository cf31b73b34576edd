variable "name" {
  description = "Begins the names of the topic, the alarms and the dashboard."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,63}$", var.name))
    error_message = "name must be 1 to 64 letters, digits or '-', and not begin with '-'."
  }
}

variable "stage" {
  description = "Name of the stage, by which `make reconcile` publishes its verdict."
  type        = string
  nullable    = false
}

variable "stream" {
  description = "Name of Demo-Stream."
  type        = string
  nullable    = false
}

variable "functions" {
  description = <<-EOT
    The functions, by their names in the lab.
    name: the real name.
    timeout: seconds.
    mapping_uuid: UUID of the event source mapping.
    event_source: name of the stream or table that the function reads.
    charts: charts of the function's own metrics, by title; stat is how CloudWatch sums them up.
  EOT
  type = map(object({
    name         = string
    timeout      = number
    mapping_uuid = string
    event_source = string
    charts       = optional(map(object({ metrics = list(string), stat = optional(string, "Sum") })), {})
  }))
  nullable = false
}

variable "tables" {
  description = "The tables, by their names in the lab: real name, and the DynamoDB operations by which the functions use them."
  type        = map(object({ name = string, operations = set(string) }))
  nullable    = false
}

variable "kinds" {
  description = "The kinds of alarms to have, of those in alarms.tf; [] for none, null for all."
  type        = set(string)
  default     = null

  validation {
    condition     = length(setsubtract(coalesce(var.kinds, []), keys(local.kinds))) == 0
    error_message = "alarms.kinds has a kind that there is not. Choose of: ${join(", ", keys(local.kinds))}."
  }
}

variable "thresholds" {
  description = <<-EOT
    What each kind of alarm tolerates: it goes off above this.
    errors: failed invocations in 5 minutes. None: the functions report what AWS refuses, so an error is a fault of theirs, or a timeout.
    throttles: refused invocations in 5 minutes, 3 times running. None: the mapping tries again, but a quarter of an hour of it is too little concurrency.
    timeout_fraction: the longest invocation as a part of its timeout, 3 times in 5 minutes. Above 0.8 the next one may be cut off, and delivered again.
    iterator_age_seconds: seconds that counting lags, for 5 minutes. 300: a deploy or a burst makes less; records are given up after 6 hours.
    parked: parked records in 5 minutes. None: each is missing from the totals until somebody looks.
    failed: unfinished records in 5 minutes, 3 times running. None: once is a throttle that heals, a quarter of an hour is not.
    given_up: records moved to the failure bucket in 5 minutes. None: each is missing from the totals until it is redriven.
    lost: records dropped in 5 minutes. None: the stream alone still has them, until they expire.
    stream_write_throttles: records that the stream refused in 5 minutes. None: a producer that does not try again loses them.
    table_throttles: throttled reads, and writes, of a table in 5 minutes, 3 times running. None: short ones are retried; longer ones are a hot key or a quota.
    system_errors: DynamoDB's own failures of an operation in 5 minutes. 10: single ones are retried at once.
    drift: users whose total is wrong at the end of `make reconcile`. None: that is the promise of the system.
    not_judged: records and totals that changed so often that `make reconcile` could not judge them. None: it is run at quiet hours.
  EOT
  type = object({
    errors                 = optional(number, 0)
    throttles              = optional(number, 0)
    timeout_fraction       = optional(number, 0.8)
    iterator_age_seconds   = optional(number, 300)
    parked                 = optional(number, 0)
    failed                 = optional(number, 0)
    given_up               = optional(number, 0)
    lost                   = optional(number, 0)
    stream_write_throttles = optional(number, 0)
    table_throttles        = optional(number, 0)
    system_errors          = optional(number, 10)
    drift                  = optional(number, 0)
    not_judged             = optional(number, 0)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for threshold in values(var.thresholds) : threshold >= 0])
    error_message = "A threshold must be at least 0: an alarm goes off above it, and below 0 it would never be quiet."
  }

  validation {
    condition     = var.thresholds.timeout_fraction < 1
    error_message = "thresholds.timeout_fraction must be less than 1: no invocation outlasts its timeout, so the alarm would never go off."
  }

  validation {
    condition     = var.thresholds.iterator_age_seconds > 0
    error_message = "thresholds.iterator_age_seconds must be more than 0: every record has some age when it is delivered."
  }
}

variable "emails" {
  description = "Addresses that alarms are mailed to; each must follow the link in a first mail."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@[:space:]]+@[^@[:space:]]+$", email))])
    error_message = "emails must be mail addresses: [\"team@example.com\"]."
  }
}

variable "kms_key_arn" {
  description = "ARN of a customer-managed key, whose policy lets CloudWatch use it, to encrypt alarms with; null for a key of their own."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a customer-managed key (arn:aws:kms:...:key/...): CloudWatch cannot publish with alias/aws/sns. Leave it out for a key of the alarms' own."
  }
}

variable "runbook_url" {
  description = "Where docs/runbook.md can be read: alarms link its sections."
  type        = string
  default     = "docs/runbook.md"
  nullable    = false

  validation {
    condition     = length(var.runbook_url) > 0 && !strcontains(var.runbook_url, "#")
    error_message = "runbook_url must be a URL or path without '#': alarms add the section."
  }
}
