# The system, from left to right:
#
#   Demo-Stream ──> ProcessKinesisRecords ──> its log
#                                         └──────> GameScoreRecords, what is a score event (ingest_scores)
#   GameScoreRecords ──> AggregateScoresByUser ──> GameScoresByUser
#                                         └──────> GameScoreLedger, what has been counted
#
# What either trigger gives up on goes to the failure store.

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

  # What ProcessKinesisRecords needs to store score events, and to park those that are wrong.
  ingestion = {
    environment = var.ingest_scores ? tomap({
      RECORDS_TABLE  = module.score_records.name
      FAILURE_BUCKET = module.failure_store.name
      STREAM_ARN     = module.stream.arn # whose events count; those from elsewhere are tests
    }) : tomap({})
    grants = var.ingest_scores ? tomap({ put-records = module.score_records.put_item_policy }) : tomap({})
  }
}

# Demo-Stream ──> ProcessKinesisRecords ──> GameScoreRecords

module "stream" {
  source = "./modules/stream"

  name            = "${var.name_prefix}Demo-Stream"
  shard_count     = local.shard_count
  retention_hours = var.stream.retention_hours
  kms_key_arn     = var.kms_key_arn
}

module "process_kinesis_records" {
  source = "./modules/function"

  name                 = "${var.name_prefix}ProcessKinesisRecords"
  description          = "Logs every payload of ${module.stream.name}${var.ingest_scores ? ", and stores the score events" : ""}"
  package              = "${var.packages_dir}/ProcessKinesisRecords.zip"
  handler              = "handlers.process_kinesis_records.handler.handler"
  memory_size          = var.process_kinesis_records.memory_size
  timeout              = var.process_kinesis_records.timeout
  reserved_concurrency = var.process_kinesis_records.reserved_concurrency
  log_retention_days   = var.log_retention_days
  kms_key_arn          = var.kms_key_arn

  role_path                = local.role_path
  permissions_boundary_arn = local.permissions_boundary_arn

  environment = local.ingestion.environment

  grants = merge(local.ingestion.grants, {
    read-stream     = module.stream.read_policy
    report-failures = module.failure_store.write_policy
  })
}

module "stream_trigger" {
  source = "./modules/trigger"

  event_source_arn        = module.stream.arn
  source_retention_hours  = var.stream.retention_hours
  function_arn            = module.process_kinesis_records.live_arn
  failure_destination_arn = module.failure_store.arn
  mapping                 = var.process_kinesis_records.mapping
}

# GameScoreRecords ──> AggregateScoresByUser ──> GameScoresByUser, GameScoreLedger

module "score_records" {
  source = "./modules/table"

  name                   = "${var.name_prefix}GameScoreRecords"
  hash_key               = { name = "RecordID", type = "N" }
  stream_view_type       = "NEW_IMAGE"
  point_in_time_recovery = var.tables.point_in_time_recovery
  deletion_protection    = var.tables.deletion_protection
  kms_key_arn            = var.kms_key_arn
}

module "aggregate_scores_by_user" {
  source = "./modules/function"

  name                 = "${var.name_prefix}AggregateScoresByUser"
  description          = "Keeps ${module.scores_by_user.name} equal to the sums over ${module.score_records.name}"
  package              = "${var.packages_dir}/AggregateScoresByUser.zip"
  handler              = "handlers.aggregate_scores_by_user.handler.handler"
  memory_size          = var.aggregate_scores_by_user.memory_size
  timeout              = var.aggregate_scores_by_user.timeout
  reserved_concurrency = var.aggregate_scores_by_user.reserved_concurrency
  log_retention_days   = var.log_retention_days
  kms_key_arn          = var.kms_key_arn

  role_path                = local.role_path
  permissions_boundary_arn = local.permissions_boundary_arn

  environment = {
    TOTALS_TABLE      = module.scores_by_user.name
    LEDGER_TABLE      = module.score_ledger.name
    RECORDS_TABLE_ARN = module.score_records.arn
    FAILURE_BUCKET    = module.failure_store.name
  }

  grants = {
    read-records    = module.score_records.read_stream_policy
    read-ledger     = module.score_ledger.batch_get_policy
    put-ledger      = module.score_ledger.put_item_policy
    update-totals   = module.scores_by_user.update_item_policy
    report-failures = module.failure_store.write_policy
  }
}

module "records_trigger" {
  source = "./modules/trigger"

  event_source_arn        = module.score_records.stream_arn
  function_arn            = module.aggregate_scores_by_user.live_arn
  failure_destination_arn = module.failure_store.arn
  mapping                 = var.aggregate_scores_by_user.mapping
}

module "score_ledger" {
  source = "./modules/table"

  name                   = "${var.name_prefix}GameScoreLedger"
  hash_key               = { name = "RecordID", type = "N" }
  ttl_attribute          = "ExpiresAt"
  point_in_time_recovery = var.tables.point_in_time_recovery
  deletion_protection    = var.tables.deletion_protection
  kms_key_arn            = var.kms_key_arn
}

module "scores_by_user" {
  source = "./modules/table"

  name                   = "${var.name_prefix}GameScoresByUser"
  hash_key               = { name = "Username", type = "S" }
  point_in_time_recovery = var.tables.point_in_time_recovery
  deletion_protection    = var.tables.deletion_protection
  kms_key_arn            = var.kms_key_arn
}

# What either trigger gives up on

module "failure_store" {
  source = "./modules/failure_store"

  bucket         = local.failure_bucket
  retention_days = var.failures.retention_days
  force_destroy  = var.failures.force_destroy
  kms_key_arn    = var.kms_key_arn
}

# Who hears of it, and what it looks like

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
    ProcessKinesisRecords = {
      name         = module.process_kinesis_records.name
      timeout      = var.process_kinesis_records.timeout
      mapping_uuid = module.stream_trigger.uuid
    }
    AggregateScoresByUser = {
      name         = module.aggregate_scores_by_user.name
      timeout      = var.aggregate_scores_by_user.timeout
      mapping_uuid = module.records_trigger.uuid
    }
  }

  tables = {
    GameScoreRecords = { name = module.score_records.name, operations = ["PutItem"] }
    GameScoreLedger  = { name = module.score_ledger.name, operations = ["BatchGetItem", "TransactWriteItems"] }
    GameScoresByUser = { name = module.scores_by_user.name, operations = ["TransactWriteItems"] }
  }
}
