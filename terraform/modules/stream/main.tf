resource "aws_kinesis_stream" "this" {
  name             = var.name
  shard_count      = var.shard_count
  retention_period = var.retention_hours
  encryption_type  = "KMS"
  kms_key_id       = coalesce(var.kms_key_arn, "alias/aws/kinesis")

  stream_mode_details {
    stream_mode = var.shard_count == null ? "ON_DEMAND" : "PROVISIONED"
  }
}

# What Lambda asks of a function's role before it reads a stream on its behalf:
# https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html
data "aws_iam_policy_document" "read" {
  statement {
    sid = "ReadStream"
    actions = [
      "kinesis:DescribeStream",
      "kinesis:DescribeStreamSummary",
      "kinesis:GetRecords",
      "kinesis:GetShardIterator",
      "kinesis:ListShards",
    ]
    resources = [aws_kinesis_stream.this.arn]
  }
  # https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html
  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid       = "DecryptRecords"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:EncryptionContext:aws:kinesis:arn"
        values   = [aws_kinesis_stream.this.arn]
      }
    }
  }
}
