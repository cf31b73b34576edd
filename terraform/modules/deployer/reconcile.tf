# What `make reconcile` does when it repairs nothing: it reads the tables and publishes its verdict.
data "aws_iam_policy_document" "reconcile" {
  statement {
    sid       = "ReadTables"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:Scan"]
    resources = local.tables
  }

  # The names of the tables are settings of the function.
  statement {
    sid       = "ReadFunctions"
    actions   = ["lambda:GetFunctionConfiguration"]
    resources = local.functions
  }

  # A metric has no ARN: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-namespace.html
  statement {
    sid       = "PublishVerdict"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["GameScores"]
    }
  }

  dynamic "statement" {
    for_each = length(var.kms_key_arns) > 0 ? [var.kms_key_arns] : []

    content {
      sid       = "Decrypt"
      actions   = ["kms:Decrypt"]
      resources = statement.value

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [for service in ["dynamodb", "lambda"] : "${service}.${local.region}.amazonaws.com"]
      }
    }
  }
}
