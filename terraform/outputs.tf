output "region" {
  description = "Region of everything below."
  value       = data.aws_region.current.id
}

output "stream" {
  description = "Demo-Stream: its name and ARN."
  value = {
    name = module.stream.name
    arn  = module.stream.arn
  }
}

output "tables" {
  description = "The tables' names, ARNs and stream ARNs, by their names in the lab."
  value = {
    for table, module_ in {
      GameScoreRecords = module.score_records
      GameScoreLedger  = module.score_ledger
      GameScoresByUser = module.scores_by_user
    } : table => { name = module_.name, arn = module_.arn, stream_arn = module_.stream_arn }
  }
}

output "functions" {
  description = "The functions' names, ARNs, live aliases' ARNs, log groups and event source mappings, by their names in the lab."
  value = {
    ProcessKinesisRecords = {
      name         = module.process_kinesis_records.name
      arn          = module.process_kinesis_records.arn
      live_arn     = module.process_kinesis_records.live_arn
      log_group    = module.process_kinesis_records.log_group_name
      mapping_uuid = module.stream_trigger.uuid
    }
    AggregateScoresByUser = {
      name         = module.aggregate_scores_by_user.name
      arn          = module.aggregate_scores_by_user.arn
      live_arn     = module.aggregate_scores_by_user.live_arn
      log_group    = module.aggregate_scores_by_user.log_group_name
      mapping_uuid = module.records_trigger.uuid
    }
  }

  # Terraform records an output once what it depends on has been made. As this one depends on everything, the commands
  # can tell a deployment that was interrupted, or failed half-way, from a complete one (scripts/deployment.py).
  depends_on = [
    module.stream, module.process_kinesis_records, module.stream_trigger, module.score_records,
    module.aggregate_scores_by_user, module.records_trigger, module.score_ledger, module.scores_by_user,
    module.failure_store, module.monitoring,
  ]
}

output "failure_bucket" {
  description = "Name of the bucket of what was given up on."
  value       = module.failure_store.name
}

output "alarms" {
  description = "Names of the alarms, by kind and subject."
  value       = module.monitoring.alarms
}

output "alarm_topic_arn" {
  description = "ARN of the topic that alarms are published to, for other subscribers than mail."
  value       = module.monitoring.topic_arn
}

output "dashboard" {
  description = "Name of the CloudWatch dashboard."
  value       = module.monitoring.dashboard
}
