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
        data.aws_region.current.name,
        data.aws_caller_identity.current.account_id,
        "alarm",
        "${var.name}-*",
      ])
    }
  }

  # A key of this module's own, unless another is given: CloudWatch cannot publish with alias/aws/sns, whose policy is
  # AWS's, lets no service use it, and cannot be changed:
  # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
  own_keys = var.kms_key_arn == null ? toset(["topic"]) : toset([])

  # Not coalesce, which fails where an interrupted deploy has left a key without its ARN in the state.
  kms_key_arn = var.kms_key_arn == null ? one(values(aws_kms_key.own)[*].arn) : var.kms_key_arn
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

resource "aws_kms_key" "own" {
  for_each = local.own_keys

  description             = "Encrypts the alarms of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  policy                  = data.aws_iam_policy_document.key.json
}

# In a key's policy "*" is that key: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109: In a key's policy "*" is that key, and its account manages it.
  #checkov:skip=CKV_AWS_111: In a key's policy "*" is that key, and its account manages it.
  #checkov:skip=CKV_AWS_356: In a key's policy "*" is that key.

  # Without this no role of the account could manage the key, or delete it.
  statement {
    sid       = "ManageByAccount"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }

  statement {
    sid       = "EncryptAlarms"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]

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
}
