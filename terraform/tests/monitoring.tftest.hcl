# Alarms, the topic that they go to, and the runbook that they link.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name   = "game-scores"
  stage  = "dev"
  stream = "Demo-Stream"
  functions = {
    ProcessKinesisRecords = { name = "dev-ProcessKinesisRecords", timeout = 60, mapping_uuid = "11111111-0000-0000-0000-000000000000", event_source = "Demo-Stream" }
    AggregateScoresByUser = { name = "dev-AggregateScoresByUser", timeout = 30, mapping_uuid = "22222222-0000-0000-0000-000000000000", event_source = "dev-GameScoreRecords" }
  }
  tables = {
    GameScoreRecords = { name = "dev-GameScoreRecords", operations = ["PutItem", "UpdateItem"] }
    GameScoreLedger  = { name = "dev-GameScoreLedger", operations = ["TransactWriteItems"] }
    GameScoresByUser = { name = "dev-GameScoresByUser", operations = ["TransactWriteItems"] }
  }
}

run "watches_everything_by_default" {
  command = apply

  module {
    source = "./modules/monitoring"
  }

  assert {
    condition     = toset([for alarm in local.alarms : alarm.kind]) == toset(keys(local.kinds)) && length(local.alarms) == 29
    error_message = "Every kind of alarm is there, for each function, mapping, table and operation."
  }

  assert {
    condition = aws_cloudwatch_metric_alarm.this["table-system-errors-GameScoreRecords-PutItem"].dimensions == tomap({
      TableName = "dev-GameScoreRecords"
      Operation = "PutItem"
    })
    error_message = "DynamoDB has SystemErrors by table and operation only."
  }

  assert {
    condition = alltrue([for alarm in aws_cloudwatch_metric_alarm.this :
      alarm.alarm_actions == toset([aws_sns_topic.this.arn]) && alarm.ok_actions == toset([aws_sns_topic.this.arn])
    ])
    error_message = "The topic hears when an alarm goes off, and when it is over."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["function-duration-AggregateScoresByUser"].threshold == 24000
    error_message = "A duration is near its timeout at 80 % of it."
  }

  assert {
    condition     = length(aws_sns_topic_subscription.email) == 0
    error_message = "Nobody is mailed unless the stage says so."
  }

  assert {
    condition     = aws_sns_topic.this.kms_master_key_id == module.key["topic"].arn
    error_message = "Alarms are encrypted with a key that CloudWatch may use."
  }
}

run "every_alarm_has_its_section_in_the_runbook_and_every_section_its_alarm" {
  command = plan

  module {
    source = "./modules/monitoring"
  }

  assert {
    condition = (
      toset([for alarm in aws_cloudwatch_metric_alarm.this : regex("docs/runbook\\.md#([a-z-]+)$", alarm.alarm_description)[0]])
      == toset(regexall("(?m)^### ([a-z-]+)$", file("../docs/runbook.md"))[*][0])
    )
    error_message = "Alarms and the sections under Alarms in docs/runbook.md are not the same."
  }
}

run "a_stage_chooses_what_it_hears_of_and_who_does" {
  command = plan

  module {
    source = "./modules/monitoring"
  }

  variables {
    kinds       = ["drift", "iterator-age"]
    thresholds  = { iterator_age_seconds = 900 }
    emails      = ["team@example.com"]
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    runbook_url = "https://wiki.example.com/runbook"
  }

  assert {
    condition = (
      join(" ", keys(aws_cloudwatch_metric_alarm.this))
      == "drift-GameScoresByUser iterator-age-AggregateScoresByUser iterator-age-ProcessKinesisRecords"
    )
    error_message = "The stage has the kinds that it names."
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["iterator-age-AggregateScoresByUser"].threshold == 900000
      && endswith(aws_cloudwatch_metric_alarm.this["drift-GameScoresByUser"].alarm_description, "https://wiki.example.com/runbook#drift")
      && aws_cloudwatch_metric_alarm.this["drift-GameScoresByUser"].dimensions == tomap({ Stage = "dev" })
      && aws_cloudwatch_metric_alarm.this["drift-GameScoresByUser"].treat_missing_data == "ignore"
    )
    error_message = "Thresholds, links and stage are what the inputs say."
  }

  assert {
    condition     = aws_sns_topic_subscription.email["team@example.com"].protocol == "email"
    error_message = "Who is named is mailed."
  }

  assert {
    condition     = length(module.key) == 0 && endswith(aws_sns_topic.this.kms_master_key_id, "555555555555")
    error_message = "With a key of the team's there is none of the module's own."
  }
}

run "a_stage_may_have_no_alarm_and_keeps_its_dashboard" {
  command = apply

  module {
    source = "./modules/monitoring"
  }

  variables {
    kinds = []
  }

  assert {
    condition = (
      length(aws_cloudwatch_metric_alarm.this) == 0
      && !contains(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[*].type, "alarm")
      && contains(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[*].type, "metric")
    )
    error_message = "Without alarms the dashboard shows metrics alone: CloudWatch refuses an empty list of alarms."
  }
}

# A third function with a table of its own, and enough charts for a second row.
run "watches_and_shows_whatever_functions_and_tables_there_are" {
  command = apply

  module {
    source = "./modules/monitoring"
  }

  variables {
    functions = {
      Aggregate = { name = "dev-Aggregate", timeout = 30, mapping_uuid = "1", event_source = "dev-Records" }
      Count = {
        name         = "dev-Count"
        timeout      = 10
        mapping_uuid = "2"
        event_source = "Demo-Stream"
        charts       = { for title in ["A", "B", "C"] : title => { metrics = ["${title}1", "${title}2"], stat = "Maximum" } }
      }
      Process = { name = "dev-Process", timeout = 60, mapping_uuid = "3", event_source = "Demo-Stream" }
    }
    tables = {
      Counts  = { name = "dev-Counts", operations = ["UpdateItem"] }
      Records = { name = "dev-Records", operations = ["PutItem", "UpdateItem"] }
    }
  }

  assert {
    condition = alltrue(flatten([
      for name in ["Aggregate", "Count", "Process"] : [
        for kind in ["function-errors", "function-throttles", "function-duration", "iterator-age", "records-parked", "records-failed", "batches-given-up", "records-lost"] :
        contains(keys(output.alarms), "${kind}-${name}")
      ]
      ])) && alltrue([
      for subject in ["table-write-throttled-Counts", "table-read-throttled-Counts", "table-system-errors-Counts-UpdateItem"] :
      contains(keys(output.alarms), subject)
    ])
    error_message = "Each function and each table has every alarm of its kind."
  }

  assert {
    condition = [
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.properties.markdown
      if widget.type == "text" && startswith(try(widget.properties.markdown, ""), "**")
      ] == [
      "**Demo-Stream**", "**dev-Count**", "**dev-Process**", "**dev-Aggregate**", "**dev-Counts**", "**dev-Records**", "**Reconcile**",
    ]
    error_message = "The dashboard has a section for each, from the stream to what is made of it."
  }

  assert {
    condition = one([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.properties.metrics
      if try(widget.properties.title, "") == "B"
    ]) == [for metric in ["B1", "B2"] : ["GameScores", metric, "FunctionName", "dev-Count", { stat = "Maximum" }]]
    error_message = "A function's own charts are among its others."
  }

  assert {
    condition = length(distinct(flatten([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [
        for x in range(widget.x, widget.x + widget.width) : [
          for y in range(widget.y, widget.y + widget.height) : "${x} ${y}"
        ]
      ]
      ]))) == sum([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.width * widget.height
    ])
    error_message = "A widget covers a part of another."
  }

  assert {
    condition = alltrue([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.x + widget.width <= 24
    ])
    error_message = "A widget is beyond the dashboard's 24 columns."
  }
}

run "refuses_a_kind_of_alarm_that_there_is_not" {
  command = plan

  module {
    source = "./modules/monitoring"
  }

  variables {
    kinds = ["iterator_age"]
  }

  expect_failures = [var.kinds]
}

run "refuses_alarms_that_could_never_be_heard" {
  command = plan

  module {
    source = "./modules/monitoring"
  }

  variables {
    thresholds  = { timeout_fraction = 1 }
    emails      = ["team"]
    kms_key_arn = "alias/aws/sns"
    runbook_url = "docs/runbook.md#alarms"
  }

  expect_failures = [var.thresholds, var.emails, var.kms_key_arn, var.runbook_url]
}

run "refuses_alarms_that_would_never_be_quiet" {
  command = plan

  module {
    source = "./modules/monitoring"
  }

  variables {
    thresholds = { iterator_age_seconds = 0, parked = -1 }
  }

  expect_failures = [var.thresholds]
}
