data "aws_region" "current" {}

resource "aws_dynamodb_table" "this" {
  #checkov:skip=CKV_AWS_119: A key of one's own is the stage's choice (kms_key_arn); the default is one that DynamoDB owns.
  #checkov:skip=CKV_AWS_28: Point-in-time recovery is the stage's choice, which checkov does not see: prod has it.

  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = var.hash_key.name
  stream_enabled              = var.stream_view_type != null
  stream_view_type            = var.stream_view_type
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = var.hash_key.name
    type = var.hash_key.type
  }

  dynamic "ttl" {
    for_each = var.ttl_attribute[*]

    content {
      enabled        = true
      attribute_name = ttl.value
    }
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  # Not enabled, a table is encrypted all the same, with a key that DynamoDB owns. It is not enabled without a key of
  # ours because `kms_key_arn` is optional and computed: the provider keeps the old key where the new value is null, and
  # plans nothing (hashicorp/terraform-provider-aws#29811). The change of `enabled` is one that it plans.
  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }
}

# What Lambda asks of a function's role before it reads a table's stream on its behalf:
# https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-iam.html
data "aws_iam_policy_document" "read_stream" {
  for_each                = toset(var.stream_view_type[*])
  source_policy_documents = [data.aws_iam_policy_document.use_key.json]

  statement {
    sid = "ReadTableStream"
    actions = [
      "dynamodb:DescribeStream",
      "dynamodb:GetRecords",
      "dynamodb:GetShardIterator",
    ]
    resources = [aws_dynamodb_table.this.stream_arn]
  }

  # Listing is authorised against the streams of the table, not against one of them.
  statement {
    sid       = "ListTableStreams"
    actions   = ["dynamodb:ListStreams"]
    resources = ["${aws_dynamodb_table.this.arn}/stream/*"]
  }
}

data "aws_iam_policy_document" "batch_get" {
  source_policy_documents = [data.aws_iam_policy_document.use_key.json]

  statement {
    sid       = "BatchGetItem"
    actions   = ["dynamodb:BatchGetItem"]
    resources = [aws_dynamodb_table.this.arn]
  }
}

# A transaction needs no action of its own: it is authorised by the writes in it. Neither does a condition.
data "aws_iam_policy_document" "put_item" {
  source_policy_documents = [data.aws_iam_policy_document.use_key.json]

  statement {
    sid       = "PutItem"
    actions   = ["dynamodb:PutItem"]
    resources = [aws_dynamodb_table.this.arn]
  }
}

data "aws_iam_policy_document" "update_item" {
  source_policy_documents = [data.aws_iam_policy_document.use_key.json]

  statement {
    sid       = "UpdateItem"
    actions   = ["dynamodb:UpdateItem"]
    resources = [aws_dynamodb_table.this.arn]
  }
}

# DynamoDB uses a key of ours with the rights of whoever uses the table:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
data "aws_iam_policy_document" "use_key" {
  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid = "UseTableKey"
      actions = [
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
      ]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["dynamodb.${data.aws_region.current.id}.amazonaws.com"]
      }
    }
  }
}
