# The system, from left to right:
#
#   Demo-Stream ──> ProcessKinesisRecords ──> its log
#                                         └──────> GameScoreRecords, what is a score event (ingest_scores)
#   GameScoreRecords ──> AggregateScoresByUser ──> GameScoresByUser
#                                         └──────> GameScoreLedger, what has been counted
#
# What a function or its event source mapping gives up on goes to the on-failure bucket. A function or a table is added in
# one place below: roles, mappings, alarms, dashboard and outputs follow from it. CONTRIBUTING.md has the recipe.

locals {
  tables = {
    GameScoreRecords = {
      hash_key         = { name = "RecordID", type = "N" }
      stream_view_type = "NEW_IMAGE"
      operations       = ["PutItem"] # by which functions use it: DynamoDB counts its own failures by operation
    }
    GameScoreLedger = {
      hash_key      = { name = "RecordID", type = "N" }
      ttl_attribute = "ExpiresAt"
      operations    = ["BatchGetItem", "TransactWriteItems"]
    }
    GameScoresByUser = {
      hash_key   = { name = "Username", type = "S" }
      operations = ["TransactWriteItems"]
    }
  }

  functions = {
    ProcessKinesisRecords = {
      description  = "Logs every payload of ${module.stream.name}${var.ingest_scores ? ", and stores the score events" : ""}"
      event_source = local.event_sources.stream
      environment  = local.ingestion.environment
      grants       = merge(local.ingestion.grants, { read-stream = module.stream.read_policy })
      charts       = { "Score events" = { metrics = ["Stored", "Outdated", "Folded"] } }
    }
    AggregateScoresByUser = {
      description  = "Keeps ${module.table["GameScoresByUser"].name} equal to the sums over ${module.table["GameScoreRecords"].name}"
      event_source = local.event_sources.records
      environment = {
        TOTALS_TABLE      = module.table["GameScoresByUser"].name
        LEDGER_TABLE      = module.table["GameScoreLedger"].name
        RECORDS_TABLE_ARN = module.table["GameScoreRecords"].arn
        FAILURE_BUCKET    = module.on_failure_bucket.name
      }
      grants = {
        read-records  = module.table["GameScoreRecords"].read_stream_policy
        read-ledger   = module.table["GameScoreLedger"].batch_get_policy
        put-ledger    = module.table["GameScoreLedger"].put_item_policy
        update-totals = module.table["GameScoresByUser"].update_item_policy
      }
      charts = {
        "Changes"                  = { metrics = ["Applied", "Duplicates", "Folded", "Transactions"] }
        "From change to total, ms" = { metrics = ["Latency"], stat = "Maximum" }
      }
    }
  }

  # What functions read. A table's stream keeps a record for 24 hours.
  event_sources = {
    stream  = { name = module.stream.name, arn = module.stream.arn, retention_hours = var.stream.retention_hours }
    records = { name = module.table["GameScoreRecords"].name, arn = module.table["GameScoreRecords"].stream_arn, retention_hours = 24 }
  }

  # What ProcessKinesisRecords needs to store score events, and to park those that are wrong.
  ingestion = {
    environment = var.ingest_scores ? tomap({
      RECORDS_TABLE  = module.table["GameScoreRecords"].name
      FAILURE_BUCKET = module.on_failure_bucket.name
      STREAM_ARN     = module.stream.arn # whose events count; those from elsewhere are tests
    }) : tomap({})
    grants = var.ingest_scores ? tomap({ put-records = module.table["GameScoreRecords"].put_item_policy }) : tomap({})
  }
}

# What follows from the above

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  # Bucket names are shared by all of AWS, so this one says whose it is.
  failure_bucket = join("-", [
    "${lower(var.name_prefix)}game-score-failures",
    data.aws_caller_identity.current.account_id,
    data.aws_region.current.id,
  ])

  # By name, so that no tfvars holds an account's id.
  permissions_boundary_arn = one([
    for name in var.permissions_boundary[*] :
    "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:policy/${name}"
  ])

  # The deploy role reaches the roles under this path and no other: modules/deployer.
  role_path = "/stream-processing/${var.stage}/"

  # Not null in the variable: Terraform puts an attribute's default in place of null.
  shard_count = var.stream.shard_count == 0 ? null : var.stream.shard_count

  # Each function's settings: the stage's, and null where the modules' defaults are to hold.
  settings = {
    for name in keys(local.functions) : name => {
      memory_size          = try(var.functions[name].memory_size, null)
      timeout              = try(var.functions[name].timeout, null)
      reserved_concurrency = try(var.functions[name].reserved_concurrency, null)
      mapping              = try(var.functions[name].mapping, null)
    }
  }

  # ProcessKinesisRecords is in src/handlers/process_kinesis_records.
  handler_packages = {
    for name in keys(local.functions) : name => lower(replace(name, "/(.)([A-Z])/", "$${1}_$${2}"))
  }
}

module "stream" {
  source = "./modules/stream"

  name            = "${var.name_prefix}Demo-Stream"
  shard_count     = local.shard_count
  retention_hours = var.stream.retention_hours
  kms_key_arn     = var.kms_key_arn
}

module "table" {
  source   = "./modules/table"
  for_each = local.tables

  name                   = "${var.name_prefix}${each.key}"
  hash_key               = each.value.hash_key
  stream_view_type       = try(each.value.stream_view_type, null)
  ttl_attribute          = try(each.value.ttl_attribute, null)
  point_in_time_recovery = var.tables.point_in_time_recovery
  deletion_protection    = var.tables.deletion_protection
  kms_key_arn            = var.kms_key_arn
}

module "on_failure_bucket" {
  source = "./modules/on_failure_bucket"

  bucket         = local.failure_bucket
  retention_days = var.failures.retention_days
  force_destroy  = var.failures.force_destroy
  kms_key_arn    = var.kms_key_arn
}

module "function" {
  source   = "./modules/function"
  for_each = local.functions

  name                 = "${var.name_prefix}${each.key}"
  description          = each.value.description
  package              = "${var.packages_dir}/${each.key}.zip"
  handler              = "handlers.${local.handler_packages[each.key]}.handler.handler"
  memory_size          = local.settings[each.key].memory_size
  timeout              = local.settings[each.key].timeout
  reserved_concurrency = local.settings[each.key].reserved_concurrency
  log_retention_days   = var.log_retention_days
  kms_key_arn          = var.kms_key_arn

  role_path                = local.role_path
  permissions_boundary_arn = local.permissions_boundary_arn

  environment = each.value.environment
  grants      = merge(each.value.grants, { report-failures = module.on_failure_bucket.write_policy })
}

module "event_source_mapping" {
  source   = "./modules/event_source_mapping"
  for_each = local.functions

  event_source_arn        = each.value.event_source.arn
  source_retention_hours  = each.value.event_source.retention_hours
  function_arn            = module.function[each.key].live_arn
  failure_destination_arn = module.on_failure_bucket.arn
  mapping                 = local.settings[each.key].mapping
}

# Who hears of what goes wrong, and what it looks like

module "monitoring" {
  source = "./modules/monitoring"

  name        = "${var.name_prefix}game-scores"
  stage       = var.stage
  kinds       = var.alarms.kinds
  thresholds  = var.alarms.thresholds
  emails      = var.alarms.emails
  kms_key_arn = var.alarms.kms_key_arn == null ? var.alarms_key_arn : var.alarms.kms_key_arn
  runbook_url = var.alarms.runbook_url

  stream = module.stream.name

  functions = {
    for name, function in local.functions : name => {
      name         = module.function[name].name
      timeout      = module.function[name].timeout
      mapping_uuid = module.event_source_mapping[name].uuid
      event_source = function.event_source.name
      charts       = try(function.charts, {})
    }
  }

  tables = { for name, table in local.tables : name => { name = module.table[name].name, operations = table.operations } }
}
