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
  description = "The tables, by their names in the lab: real name, ARN, the stream's ARN (null for none), and the partition key's name and type."
  value = {
    for name, table in module.table : name => {
      name       = table.name
      arn        = table.arn
      stream_arn = table.stream_arn
      hash_key   = local.tables[name].hash_key
    }
  }
}

output "functions" {
  description = "The functions, by their names in the lab: real name, ARN, the live alias's ARN, log group, event source mapping, and the ARN of the stream that it reads."
  value = {
    for name, function in module.function : name => {
      name             = function.name
      arn              = function.arn
      live_arn         = function.live_arn
      log_group        = function.log_group_name
      mapping_uuid     = module.event_source_mapping[name].uuid
      event_source_arn = local.functions[name].event_source.arn
    }
  }

  # Terraform records an output once what it depends on has been made. As this one depends on everything, the commands
  # can tell a deployment that was interrupted, or failed half-way, from a complete one (scripts/deployment.py).
  depends_on = [
    module.stream, module.table, module.function, module.event_source_mapping, module.on_failure_bucket,
    module.monitoring,
  ]
}

output "failure_bucket" {
  description = "Name of the bucket of what was given up on."
  value       = module.on_failure_bucket.name
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
