# What a plan reads: the stage's state, and the settings of what is deployed.

# The state: of this stage alone.
data "aws_iam_policy_document" "read_state" {
  statement {
    sid       = "ReadState"
    actions   = ["s3:GetObject"]
    resources = [local.state]
  }

  # What `make` looks at before it trusts the bucket with a state. Listing also tells a state that is not there yet
  # from one that is closed.
  statement {
    sid = "LookAtStateBucket"
    actions = [
      "s3:GetBucketPublicAccessBlock",
      "s3:GetBucketVersioning",
      "s3:GetEncryptionConfiguration",
      "s3:ListBucket",
    ]
    resources = [var.state_bucket_arn]
  }
}

# The settings of what is deployed, as a plan asks for them; no record, item, object or log line.
data "aws_iam_policy_document" "read" {
  statement {
    sid = "ReadStreams"
    actions = [
      "kinesis:DescribeStream",
      "kinesis:DescribeStreamSummary",
      "kinesis:ListTagsForResource",
      "kinesis:ListTagsForStream",
    ]
    resources = local.streams
  }

  statement {
    sid = "ReadTables"
    actions = [
      "dynamodb:DescribeContinuousBackups",
      "dynamodb:DescribeTable",
      "dynamodb:DescribeTimeToLive",
      "dynamodb:ListTagsOfResource",
    ]
    resources = local.tables
  }

  statement {
    sid = "ReadFunctions"
    actions = [
      "lambda:GetAlias",
      "lambda:GetFunction",
      "lambda:GetFunctionCodeSigningConfig",
      "lambda:GetFunctionConcurrency",
      "lambda:GetFunctionConfiguration",
      "lambda:ListAliases",
      "lambda:ListTags",
      "lambda:ListVersionsByFunction",
    ]
    resources = local.functions
  }

  # A mapping's ARN says nothing of its function. No condition does here, either: Terraform asks for a mapping until it
  # is gone, and one that is gone has no function.
  statement {
    sid       = "ReadMappings"
    actions   = ["lambda:GetEventSourceMapping", "lambda:ListTags"]
    resources = local.mappings
  }

  statement {
    sid = "ReadRoles"
    actions = [
      "iam:GetRole",
      "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies",
      "iam:ListInstanceProfilesForRole",
      "iam:ListRolePolicies",
      "iam:ListRoleTags",
    ]
    resources = local.roles
  }

  statement {
    sid       = "ReadLogGroups"
    actions   = ["logs:ListTagsForResource"]
    resources = concat(local.logs, [for group in local.logs : "${group}:*"])
  }

  # All that the provider asks of a bucket, used or not.
  statement {
    sid = "ReadBuckets"
    actions = [
      "s3:GetAccelerateConfiguration",
      "s3:GetBucketAcl",
      "s3:GetBucketCORS",
      "s3:GetBucketLocation",
      "s3:GetBucketLogging",
      "s3:GetBucketObjectLockConfiguration",
      "s3:GetBucketOwnershipControls",
      "s3:GetBucketPolicy",
      "s3:GetBucketPublicAccessBlock",
      "s3:GetBucketRequestPayment",
      "s3:GetBucketTagging",
      "s3:GetBucketVersioning",
      "s3:GetBucketWebsite",
      "s3:GetEncryptionConfiguration",
      "s3:GetLifecycleConfiguration",
      "s3:GetReplicationConfiguration",
      "s3:ListBucket",
    ]
    resources = local.buckets
  }

  statement {
    sid = "ReadMonitoring"
    actions = [
      "cloudwatch:GetDashboard",
      "cloudwatch:ListTagsForResource",
      "sns:GetTopicAttributes",
      "sns:ListTagsForResource",
    ]
    resources = concat(local.alarms, local.dashboards, local.topics)
  }

  # Listing is authorised against all alarms, and so against none.
  statement {
    sid       = "ListAlarms"
    actions   = ["cloudwatch:DescribeAlarms"]
    resources = ["${local.regional.cloudwatch}:alarm:*"]
  }

  # IAM knows no resource for these. The provider asks for Kinesis's limits before it creates a stream or changes its
  # shards; `make` asks for Lambda's before it reserves concurrency, and looks for what an interrupted deploy left.
  # https://docs.aws.amazon.com/service-authorization/latest/reference/
  statement {
    sid = "ReadWithoutAnArn"
    actions = [
      "kinesis:DescribeLimits",
      "lambda:GetAccountSettings",
      "lambda:ListEventSourceMappings",
      "logs:DescribeLogGroups",
      "sns:GetSubscriptionAttributes",
    ]
    resources = ["*"]
  }

  # `make` looks for the boundary by its name, and for the alarms' key by its alias.
  statement {
    sid       = "FindBoundary"
    actions   = ["iam:GetPolicy"]
    resources = [local.boundary_arn]
  }

  statement {
    sid       = "LookAtKeys"
    actions   = ["kms:DescribeKey"]
    resources = local.keys
  }

  # The provider compares a table's key with the one that AWS manages for DynamoDB, whose id is not known here.
  statement {
    sid       = "LookAtTheKeyOfDynamoDB"
    actions   = ["kms:DescribeKey"]
    resources = ["${local.regional.kms}:key/*"]

    condition {
      test     = "StringEquals"
      variable = "kms:RequestAlias"
      values   = ["alias/aws/dynamodb"]
    }
  }

  # Lambda returns the environment of a function, which a key of ours encrypts, only to who may decrypt it; without
  # it every plan would set the environments again:
  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
  dynamic "statement" {
    for_each = length(var.kms_key_arns) > 0 ? [var.kms_key_arns] : []

    content {
      sid       = "ReadEnvironments"
      actions   = ["kms:Decrypt"]
      resources = statement.value

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["lambda.${local.region}.amazonaws.com"]
      }
    }
  }

  # Of a stage that was deployed before its roles were made, until it has handed its alarms' key over.
  dynamic "statement" {
    for_each = length(var.former_alarms_key_arns) > 0 ? [var.former_alarms_key_arns] : []

    content {
      sid       = "ReadFormerAlarmsKeys"
      actions   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
      resources = statement.value
    }
  }
}
