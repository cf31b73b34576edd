# Reads as the data flows: from the stream, on the left, to the totals, on the right.
locals {
  process   = var.functions.ProcessKinesisRecords
  aggregate = var.functions.AggregateScoresByUser
  records   = var.tables.GameScoreRecords.name
  ledger    = var.tables.GameScoreLedger.name
  totals    = var.tables.GameScoresByUser.name

  # What both functions have; their own metrics differ.
  function_charts = {
    for key, function in var.functions : key => [
      {
        title = "Invocations"
        metrics = [
          ["AWS/Lambda", "Invocations", "FunctionName", function.name, { stat = "Sum" }],
          ["AWS/Lambda", "Errors", "FunctionName", function.name, { stat = "Sum" }],
          ["AWS/Lambda", "Throttles", "FunctionName", function.name, { stat = "Sum" }],
        ]
      },
      {
        title = "Duration, ms"
        metrics = [
          ["AWS/Lambda", "Duration", "FunctionName", function.name, { stat = "p99", label = "p99" }],
          ["AWS/Lambda", "Duration", "FunctionName", function.name, { stat = "Maximum", label = "longest" }],
        ]
      },
      {
        title   = "Lag, ms"
        metrics = [["AWS/Lambda", "IteratorAge", "FunctionName", function.name, { stat = "Maximum" }]]
      },
      {
        title = "Not counted"
        metrics = [
          [local.own_namespace, "Parked", "FunctionName", function.name, { stat = "Sum" }],
          [local.own_namespace, "Failed", "FunctionName", function.name, { stat = "Sum" }],
          ["AWS/Lambda", "OnFailureDestinationDeliveredEventCount", "EventSourceMappingUUID", function.mapping_uuid, { stat = "Sum", label = "Given up" }],
          ["AWS/Lambda", "DroppedEventCount", "EventSourceMappingUUID", function.mapping_uuid, { stat = "Sum", label = "Lost" }],
        ]
      },
    ]
  }

  columns = [
    {
      x     = 0
      width = 4
      title = var.stream
      charts = [
        {
          title   = "Records in"
          metrics = [["AWS/Kinesis", "IncomingRecords", "StreamName", var.stream, { stat = "Sum" }]]
        },
        {
          title   = "Bytes in"
          metrics = [["AWS/Kinesis", "IncomingBytes", "StreamName", var.stream, { stat = "Sum" }]]
        },
        {
          title   = "Age when read, ms"
          metrics = [["AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds", "StreamName", var.stream, { stat = "Maximum" }]]
        },
        {
          title = "Throttled"
          metrics = [
            ["AWS/Kinesis", "WriteProvisionedThroughputExceeded", "StreamName", var.stream, { stat = "Sum", label = "writes" }],
            ["AWS/Kinesis", "ReadProvisionedThroughputExceeded", "StreamName", var.stream, { stat = "Sum", label = "reads" }],
          ]
        },
      ]
    },
    {
      x     = 4
      width = 5
      title = local.process.name
      charts = concat(local.function_charts.ProcessKinesisRecords, [
        {
          title = "Score events"
          metrics = [
            [local.own_namespace, "Stored", "FunctionName", local.process.name, { stat = "Sum" }],
            [local.own_namespace, "Outdated", "FunctionName", local.process.name, { stat = "Sum" }],
            [local.own_namespace, "Folded", "FunctionName", local.process.name, { stat = "Sum" }],
          ]
        },
      ])
    },
    {
      x     = 9
      width = 5
      title = local.records
      charts = [
        {
          title   = "Write units"
          metrics = [["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", local.records, { stat = "Sum" }]]
        },
        {
          title = "Throttled"
          metrics = [
            ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", local.records, { stat = "Sum", label = "writes" }],
            ["AWS/DynamoDB", "ReadThrottleEvents", "TableName", local.records, { stat = "Sum", label = "reads" }],
          ]
        },
        {
          title = "Failures of DynamoDB"
          metrics = [
            for operation in var.tables.GameScoreRecords.operations :
            ["AWS/DynamoDB", "SystemErrors", "TableName", local.records, "Operation", operation, { stat = "Sum", label = operation }]
          ]
        },
      ]
    },
    {
      x     = 14
      width = 5
      title = local.aggregate.name
      charts = concat(local.function_charts.AggregateScoresByUser, [
        {
          title = "Changes"
          metrics = [
            [local.own_namespace, "Applied", "FunctionName", local.aggregate.name, { stat = "Sum" }],
            [local.own_namespace, "Duplicates", "FunctionName", local.aggregate.name, { stat = "Sum" }],
            [local.own_namespace, "Folded", "FunctionName", local.aggregate.name, { stat = "Sum" }],
            [local.own_namespace, "Transactions", "FunctionName", local.aggregate.name, { stat = "Sum" }],
          ]
        },
        {
          title   = "From change to total, ms"
          metrics = [[local.own_namespace, "Latency", "FunctionName", local.aggregate.name, { stat = "Maximum" }]]
        },
      ])
    },
    {
      x     = 19
      width = 5
      title = local.totals
      charts = [
        {
          title = "Write units"
          metrics = [
            ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", local.totals, { stat = "Sum", label = "totals" }],
            ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", local.ledger, { stat = "Sum", label = "ledger" }],
          ]
        },
        {
          title = "Throttled"
          metrics = [
            ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", local.totals, { stat = "Sum", label = "totals" }],
            ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", local.ledger, { stat = "Sum", label = "ledger" }],
          ]
        },
        {
          title = "Transactions in conflict"
          metrics = [
            ["AWS/DynamoDB", "TransactionConflict", "TableName", local.totals, { stat = "Sum", label = "totals" }],
            ["AWS/DynamoDB", "TransactionConflict", "TableName", local.ledger, { stat = "Sum", label = "ledger" }],
          ]
        },
        {
          title = "Reconcile: users in drift, and what could not be judged"
          metrics = [
            [local.own_namespace, "Drift", "Stage", var.stage, { stat = "Maximum", label = "in drift" }],
            [local.own_namespace, "NotJudged", "Stage", var.stage, { stat = "Maximum", label = "not judged" }],
          ]
        },
      ]
    },
  ]

  # On top, since it is looked at first; CloudWatch refuses it without an alarm.
  alarm_widgets = [
    for arns in [values(aws_cloudwatch_metric_alarm.this)[*].arn] : {
      type       = "alarm"
      x          = 0
      y          = 0
      width      = 24
      height     = 4
      properties = { title = "Alarms", alarms = arns }
    } if length(arns) > 0
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = concat(
      local.alarm_widgets,
      [{
        type   = "text"
        x      = 0
        y      = 4
        width  = 24
        height = 1
        properties = {
          markdown = "What each alarm means and what to do: [the runbook](${var.runbook_url})"
        }
      }],
      [for column in local.columns : {
        type       = "text"
        x          = column.x
        y          = 5
        width      = column.width
        height     = 1
        properties = { markdown = "**${column.title}**" }
      }],
      flatten([for column in local.columns : [for row, chart in column.charts : {
        type   = "metric"
        x      = column.x
        y      = 6 + row * 6
        width  = column.width
        height = 6
        properties = {
          title   = chart.title
          region  = data.aws_region.current.id
          view    = "timeSeries"
          period  = 60
          metrics = chart.metrics
        }
      }]]),
    )
  })
}
