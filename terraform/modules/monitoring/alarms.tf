# One metric an alarm: a sum of metrics costs as much as an alarm on each, and does not say which it was.
# Each kind has its section in docs/runbook.md. Why missing data is treated so: docs/decisions/0006.
locals {
  # Of the functions' own metrics, and of what `make reconcile` publishes.
  own_namespace = "GameScores"

  function_dimensions = { for key, function in var.functions : key => { FunctionName = function.name } }
  mapping_dimensions  = { for key, function in var.functions : key => { EventSourceMappingUUID = function.mapping_uuid } }
  table_dimensions    = { for key, table in var.tables : key => { TableName = table.name } }

  # DynamoDB counts its own failures by table and operation, and by nothing less:
  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
  operation_dimensions = merge([
    for key, table in var.tables : {
      for operation in table.operations : "${key}-${operation}" => { TableName = table.name, Operation = operation }
    }
  ]...)

  kinds = {
    function-errors = {
      meaning    = "Invocations failed: an exception, a timeout or too little memory; their records are delivered again."
      namespace  = "AWS/Lambda"
      metric     = "Errors"
      statistic  = "Sum"
      period     = 300
      periods    = 1
      missing    = "notBreaching"
      dimensions = local.function_dimensions
      thresholds = { for key in keys(local.function_dimensions) : key => var.thresholds.errors }
    }

    function-throttles = {
      meaning    = "Lambda has refused to invoke the function for a quarter of an hour: it has no concurrency left."
      namespace  = "AWS/Lambda"
      metric     = "Throttles"
      statistic  = "Sum"
      period     = 300
      periods    = 3
      missing    = "notBreaching"
      dimensions = local.function_dimensions
      thresholds = { for key in keys(local.function_dimensions) : key => var.thresholds.throttles }
    }

    function-duration = {
      meaning    = "Invocations come near their timeout, which would cut them off and deliver their records again."
      namespace  = "AWS/Lambda"
      metric     = "Duration"
      statistic  = "Maximum"
      period     = 300
      periods    = 3
      missing    = "notBreaching"
      dimensions = local.function_dimensions
      thresholds = {
        for key, function in var.functions : key => function.timeout * 1000 * var.thresholds.timeout_fraction
      }
    }

    # No invocation says nothing of the lag: a function that is not invoked at all may be blocked.
    iterator-age = {
      meaning    = "The function lags behind its stream: totals are out of date."
      namespace  = "AWS/Lambda"
      metric     = "IteratorAge"
      statistic  = "Maximum"
      period     = 60
      periods    = 5
      missing    = "ignore"
      dimensions = local.function_dimensions
      thresholds = { for key in keys(local.function_dimensions) : key => var.thresholds.iterator_age_seconds * 1000 }
    }

    records-parked = {
      meaning    = "Records that can never be counted or stored were parked in the failure bucket."
      namespace  = local.own_namespace
      metric     = "Parked"
      statistic  = "Sum"
      period     = 300
      periods    = 1
      missing    = "notBreaching"
      dimensions = local.function_dimensions
      thresholds = { for key in keys(local.function_dimensions) : key => var.thresholds.parked }
    }

    records-failed = {
      meaning    = "AWS has throttled or refused what the function asks for a quarter of an hour: batches are retried, and later given up."
      namespace  = local.own_namespace
      metric     = "Failed"
      statistic  = "Sum"
      period     = 300
      periods    = 3
      missing    = "notBreaching"
      dimensions = local.function_dimensions
      thresholds = { for key in keys(local.function_dimensions) : key => var.thresholds.failed }
    }

    # These two need MetricsConfig on the mapping (modules/event_source_mapping):
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#event-source-mapping-metrics
    batches-given-up = {
      meaning    = "Records that failed for too long, or too often, were moved to the failure bucket: totals lack them."
      namespace  = "AWS/Lambda"
      metric     = "OnFailureDestinationDeliveredEventCount"
      statistic  = "Sum"
      period     = 300
      periods    = 1
      missing    = "notBreaching"
      dimensions = local.mapping_dimensions
      thresholds = { for key in keys(local.mapping_dimensions) : key => var.thresholds.given_up }
    }

    records-lost = {
      meaning    = "Records were given up and did not reach the failure bucket: totals lack them, and the stream will forget them."
      namespace  = "AWS/Lambda"
      metric     = "DroppedEventCount"
      statistic  = "Sum"
      period     = 300
      periods    = 1
      missing    = "notBreaching"
      dimensions = local.mapping_dimensions
      thresholds = { for key in keys(local.mapping_dimensions) : key => var.thresholds.lost }
    }

    stream-write-throttled = {
      meaning    = "The stream refused records: producers send more than its shards take."
      namespace  = "AWS/Kinesis"
      metric     = "WriteProvisionedThroughputExceeded"
      statistic  = "Sum"
      period     = 300
      periods    = 1
      missing    = "notBreaching"
      dimensions = { Demo-Stream = { StreamName = var.stream } }
      thresholds = { Demo-Stream = var.thresholds.stream_write_throttles }
    }

    table-read-throttled = {
      meaning    = "DynamoDB has throttled reads of the table for a quarter of an hour."
      namespace  = "AWS/DynamoDB"
      metric     = "ReadThrottleEvents"
      statistic  = "Sum"
      period     = 300
      periods    = 3
      missing    = "notBreaching"
      dimensions = local.table_dimensions
      thresholds = { for key in keys(local.table_dimensions) : key => var.thresholds.table_throttles }
    }

    table-write-throttled = {
      meaning    = "DynamoDB has throttled writes to the table for a quarter of an hour: counting slows down."
      namespace  = "AWS/DynamoDB"
      metric     = "WriteThrottleEvents"
      statistic  = "Sum"
      period     = 300
      periods    = 3
      missing    = "notBreaching"
      dimensions = local.table_dimensions
      thresholds = { for key in keys(local.table_dimensions) : key => var.thresholds.table_throttles }
    }

    table-system-errors = {
      meaning    = "DynamoDB fails by itself on requests for the table."
      namespace  = "AWS/DynamoDB"
      metric     = "SystemErrors"
      statistic  = "Sum"
      period     = 300
      periods    = 1
      missing    = "notBreaching"
      dimensions = local.operation_dimensions
      thresholds = { for key in keys(local.operation_dimensions) : key => var.thresholds.system_errors }
    }

    # Between two runs of reconcile nothing is known, so the last verdict stands. A run that could not judge everything
    # and found nothing wrong publishes no Drift: it neither raises nor ends this alarm, but the next one.
    drift = {
      meaning    = "Totals are not the sums over their records, as the last reconcile that could judge has found and not repaired."
      namespace  = local.own_namespace
      metric     = "Drift"
      statistic  = "Maximum"
      period     = 300
      periods    = 1
      missing    = "ignore"
      dimensions = { GameScoresByUser = { Stage = var.stage } }
      thresholds = { GameScoresByUser = var.thresholds.drift }
    }

    not-judged = {
      meaning    = "The last reconcile could not judge every total: whether they are the sums over their records is not known."
      namespace  = local.own_namespace
      metric     = "NotJudged"
      statistic  = "Maximum"
      period     = 300
      periods    = 1
      missing    = "ignore"
      dimensions = { GameScoresByUser = { Stage = var.stage } }
      thresholds = { GameScoresByUser = var.thresholds.not_judged }
    }
  }

  alarms = merge([
    for kind, alarm in local.kinds : {
      for subject, dimensions in alarm.dimensions : "${kind}-${subject}" => merge(alarm, {
        kind       = kind
        dimensions = dimensions
        threshold  = alarm.thresholds[subject]
      })
    } if var.kinds == null ? true : contains(var.kinds, kind)
  ]...)
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = "${each.value.meaning} ${var.runbook_url}#${each.value.kind}"

  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.periods
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing

  alarm_actions = [aws_sns_topic.this.arn]
  ok_actions    = [aws_sns_topic.this.arn]
}
