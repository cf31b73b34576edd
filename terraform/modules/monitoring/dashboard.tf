# A section for the stream, each function, each table and reconcile. What reads the stream comes before what reads a table,
# so the dashboard reads as the data flows, from top to bottom.
locals {
  functions_in_order = concat(
    [for key, function in var.functions : key if function.event_source == var.stream],
    [for key, function in var.functions : key if function.event_source != var.stream],
  )

  stream_section = {
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
  }

  function_sections = [
    for function in [for key in local.functions_in_order : var.functions[key]] : {
      title = function.name
      charts = concat(
        [
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
            title = "Not processed"
            metrics = [
              [local.own_namespace, "Parked", "FunctionName", function.name, { stat = "Sum" }],
              [local.own_namespace, "Failed", "FunctionName", function.name, { stat = "Sum" }],
              ["AWS/Lambda", "OnFailureDestinationDeliveredEventCount", "EventSourceMappingUUID", function.mapping_uuid, { stat = "Sum", label = "Given up" }],
              ["AWS/Lambda", "DroppedEventCount", "EventSourceMappingUUID", function.mapping_uuid, { stat = "Sum", label = "Lost" }],
            ]
          },
        ],
        [
          for title, chart in function.charts : {
            title = title
            metrics = [
              for metric in chart.metrics : [local.own_namespace, metric, "FunctionName", function.name, { stat = chart.stat }]
            ]
          }
        ],
      )
    }
  ]

  table_sections = [
    for table in values(var.tables) : {
      title = table.name
      charts = [
        {
          title = "Capacity units"
          metrics = [
            ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", table.name, { stat = "Sum", label = "writes" }],
            ["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", table.name, { stat = "Sum", label = "reads" }],
          ]
        },
        {
          title = "Throttled"
          metrics = [
            ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", table.name, { stat = "Sum", label = "writes" }],
            ["AWS/DynamoDB", "ReadThrottleEvents", "TableName", table.name, { stat = "Sum", label = "reads" }],
          ]
        },
        {
          title   = "Transactions in conflict"
          metrics = [["AWS/DynamoDB", "TransactionConflict", "TableName", table.name, { stat = "Sum" }]]
        },
        {
          title = "Failures of DynamoDB"
          metrics = [
            for operation in table.operations :
            ["AWS/DynamoDB", "SystemErrors", "TableName", table.name, "Operation", operation, { stat = "Sum", label = operation }]
          ]
        },
      ]
    }
  ]

  reconcile_section = {
    title = "Reconcile"
    charts = [
      {
        title = "Users in drift, and what could not be judged"
        metrics = [
          [local.own_namespace, "Drift", "Stage", var.stage, { stat = "Maximum", label = "in drift" }],
          [local.own_namespace, "NotJudged", "Stage", var.stage, { stat = "Maximum", label = "not judged" }],
        ]
      },
    ]
  }

  # The layout: a section is a heading and its charts, in rows that fill the dashboard's 24 columns.
  columns           = 24
  charts_in_a_row   = 6
  heading_height    = 1
  chart_height      = 6
  alarms_height     = 4
  sections          = concat([local.stream_section], local.function_sections, local.table_sections, [local.reconcile_section])
  charts_across     = [for section in local.sections : min(length(section.charts), local.charts_in_a_row)]
  section_heights   = [for section in local.sections : local.heading_height + local.chart_height * ceil(length(section.charts) / local.charts_in_a_row)]
  section_tops      = [for index in range(length(local.sections)) : local.first_section_top + sum(concat([0], slice(local.section_heights, 0, index)))]
  first_section_top = local.alarms_height + local.heading_height

  # On top, since it is looked at first; CloudWatch refuses it without an alarm.
  alarm_widgets = [
    for arns in [values(aws_cloudwatch_metric_alarm.this)[*].arn] : {
      type       = "alarm"
      x          = 0
      y          = 0
      width      = local.columns
      height     = local.alarms_height
      properties = { title = "Alarms", alarms = arns }
    } if length(arns) > 0
  ]

  runbook_widget = {
    type   = "text"
    x      = 0
    y      = local.alarms_height
    width  = local.columns
    height = local.heading_height
    properties = {
      markdown = "What each alarm means and what to do: [the runbook](${var.runbook_url})"
    }
  }

  headings = [
    for index, section in local.sections : {
      type       = "text"
      x          = 0
      y          = local.section_tops[index]
      width      = local.columns
      height     = local.heading_height
      properties = { markdown = "**${section.title}**" }
    }
  ]

  charts = flatten([
    for index, section in local.sections : [
      for number, chart in section.charts : {
        type   = "metric"
        x      = (number % local.charts_in_a_row) * floor(local.columns / local.charts_across[index])
        y      = local.section_tops[index] + local.heading_height + local.chart_height * floor(number / local.charts_in_a_row)
        width  = floor(local.columns / local.charts_across[index])
        height = local.chart_height
        properties = {
          title   = chart.title
          region  = data.aws_region.current.id
          view    = "timeSeries"
          period  = 60
          metrics = chart.metrics
        }
      }
    ]
  ])
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({ widgets = concat(local.alarm_widgets, [local.runbook_widget], local.headings, local.charts) })
}
