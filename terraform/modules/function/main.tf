data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

# Created before the function: one that writes first makes a group of its own, which never expires.
resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158: A key of one's own is the stage's choice (kms_key_arn); CloudWatch Logs encrypts every group without one, too.
  #checkov:skip=CKV_AWS_338: How long is the stage's choice: logs hold payloads, which should not outlive their use.
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# The region is in the name because a role is global and a function is not.
resource "aws_iam_role" "this" {
  name                 = "${var.name}-${data.aws_region.current.id}"
  path                 = var.role_path
  description          = "What ${var.name} may do"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }

    # Lambda may use the role for this account alone. Not for this function alone: with aws:SourceArn, Lambda
    # cannot prepare the function's network in a VPC (aws/aws-parallelcluster#6926).
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "log" {
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
}

resource "aws_iam_role_policy" "grant" {
  for_each = merge({ write-logs = data.aws_iam_policy_document.log.json }, var.grants)

  role   = aws_iam_role.this.name
  name   = each.key
  policy = each.value
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_116: A dead-letter queue gets asynchronous invocations. A mapping's are synchronous, and have the on-failure bucket.
  #checkov:skip=CKV_AWS_117: The functions call AWS's own APIs alone, over TLS; a VPC would add endpoints to pay for, and hide nothing.
  #checkov:skip=CKV_AWS_115: reserved_concurrency is the stage's choice; without it, shards and parallelization_factor bound how many run.
  #checkov:skip=CKV_AWS_272: Who may change the code is limited by IAM; a signature from the same pipeline would say no more.
  #checkov:skip=CKV_AWS_173: A key of one's own is the stage's choice (kms_key_arn); the variables are names and numbers, no secrets.
  #checkov:skip=CKV_AWS_50: Neither stream carries a trace header, so each batch would be a trace of its own; logs and metrics say as much.

  function_name    = var.name
  description      = var.description
  role             = aws_iam_role.this.arn
  runtime          = "python3.13"
  architectures    = ["arm64"]
  handler          = var.handler
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  memory_size      = var.memory_size
  timeout          = var.timeout
  kms_key_arn      = var.kms_key_arn

  # Every change is a version of its own, which a rollback can return to.
  publish = true

  # -1 reserves nothing: the function shares what the account has.
  reserved_concurrent_executions = coalesce(var.reserved_concurrency, -1)

  environment {
    variables = var.environment
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  depends_on = [aws_iam_role_policy.grant]
}

# What triggers invoke. A deploy moves it to the newest version, and a rollback to an older one.
resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that is in use"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version
}
