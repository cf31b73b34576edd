# A key with which CloudWatch can publish alarms to an encrypted topic. It cannot with alias/aws/sns, whose policy is AWS's,
# lets no service use it, and cannot be changed:
# https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

resource "aws_kms_key" "this" {
  description             = var.description
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

    # For alarms of these names alone, and for nobody else's.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values = [join(":", [
        "arn",
        data.aws_partition.current.partition,
        "cloudwatch",
        data.aws_region.current.id,
        data.aws_caller_identity.current.account_id,
        "alarm",
        "${var.name_prefix}*",
      ])]
    }
  }
}
