# Where alarms go. What they look at is in alarms.tf, and the picture of it all in dashboard.tf.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  # CloudWatch, for the alarms of this module, and for nobody else's.
  source_conditions = {
    "aws:SourceAccount" = {
      test  = "StringEquals"
      value = data.aws_caller_identity.current.account_id
    }
    "aws:SourceArn" = {
      test = "ArnLike"
      value = join(":", [
        "arn",
        data.aws_partition.current.partition,
        "cloudwatch",
        data.aws_region.current.id,
        data.aws_caller_identity.current.account_id,
        "alarm",
        "${var.name}-*",
      ])
    }
  }

  # A key of this module's own, unless another is given.
  own_keys = var.kms_key_arn == null ? toset(["topic"]) : toset([])

  # Not coalesce, which fails where an interrupted deploy has left a key without its ARN in the state.
  kms_key_arn = var.kms_key_arn == null ? one(values(module.key)[*].arn) : var.kms_key_arn
}

resource "aws_sns_topic" "this" {
  name              = "${var.name}-alarms"
  kms_master_key_id = local.kms_key_arn
}

resource "aws_sns_topic_policy" "this" {
  arn    = aws_sns_topic.this.arn
  policy = data.aws_iam_policy_document.topic.json
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "PublishAlarms"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    dynamic "condition" {
      for_each = local.source_conditions

      content {
        test     = condition.value.test
        variable = condition.key
        values   = [condition.value.value]
      }
    }
  }

  statement {
    sid       = "DenyPlainText"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

# Each address gets a mail with a link, and no alarm before it was followed.
resource "aws_sns_topic_subscription" "email" {
  for_each = var.emails

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = each.value
}

module "key" {
  source   = "../alarms_key"
  for_each = local.own_keys

  description = "Encrypts the alarms of ${var.name}"
  name_prefix = "${var.name}-"
}
