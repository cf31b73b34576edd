# What a deploy writes, besides what a plan reads (plan.tf): the state, the stage's resources, and the score of a smoke test.

data "aws_iam_policy_document" "write_state" {
  statement {
    sid       = "WriteState"
    actions   = ["s3:PutObject"]
    resources = [local.state]
  }

  statement {
    sid       = "LockState"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${local.state}.tflock"]
  }
}

data "aws_iam_policy_document" "deploy" {
  statement {
    sid = "Streams"
    actions = [
      "kinesis:AddTagsToStream",
      "kinesis:CreateStream",
      "kinesis:DecreaseStreamRetentionPeriod",
      "kinesis:DeleteStream",
      "kinesis:IncreaseStreamRetentionPeriod",
      "kinesis:RemoveTagsFromStream",
      "kinesis:TagResource",
      "kinesis:UntagResource",
    ]
    resources = local.streams
  }

  # IAM knows no resource for these, so they reach other stages of the account:
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisdatastreams.html
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
  statement {
    sid = "WriteWithoutAnArn"
    actions = [
      "kinesis:UpdateShardCount",
      "kinesis:UpdateStreamMode",
      "sns:SetSubscriptionAttributes",
      "sns:Unsubscribe",
    ]
    resources = ["*"]
  }

  # Authorised against the stream and the key, which by default is the one that AWS manages for Kinesis, whose id is not
  # known here: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisdatastreams.html
  statement {
    sid       = "StreamEncryption"
    actions   = ["kinesis:StartStreamEncryption", "kinesis:StopStreamEncryption"]
    resources = concat(local.streams, ["${local.regional.kms}:key/*"])
  }

  statement {
    sid = "Tables"
    actions = [
      "dynamodb:CreateTable",
      "dynamodb:DeleteTable",
      "dynamodb:TagResource",
      "dynamodb:UntagResource",
      "dynamodb:UpdateContinuousBackups",
      "dynamodb:UpdateTable",
      "dynamodb:UpdateTimeToLive",
    ]
    resources = local.tables
  }

  # Versions and aliases are named by their function.
  statement {
    sid = "Functions"
    actions = [
      "lambda:CreateAlias",
      "lambda:CreateFunction",
      "lambda:DeleteAlias",
      "lambda:DeleteFunction",
      "lambda:DeleteFunctionConcurrency",
      "lambda:PublishVersion",
      "lambda:PutFunctionConcurrency",
      "lambda:TagResource",
      "lambda:UntagResource",
      "lambda:UpdateAlias",
      "lambda:UpdateFunctionCode",
      "lambda:UpdateFunctionConfiguration",
    ]
    resources = local.functions
  }

  # To create a mapping is authorised against no resource, so the condition is all that limits it:
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
  statement {
    sid       = "CreateMappings"
    actions   = ["lambda:CreateEventSourceMapping"]
    resources = ["*"]

    condition {
      test     = "ArnLike"
      variable = "lambda:FunctionArn"
      values   = local.functions
    }
  }

  statement {
    sid       = "Mappings"
    actions   = ["lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping"]
    resources = local.mappings

    condition {
      test     = "ArnLike"
      variable = "lambda:FunctionArn"
      values   = local.functions
    }
  }

  statement {
    sid       = "MappingTags"
    actions   = ["lambda:TagResource", "lambda:UntagResource"]
    resources = local.mappings
  }

  # Whoever may make a role and fill it may do anything, but for the boundary that the role must have: whatever a
  # deploy writes into its policies, it can do no more than the boundary says.
  statement {
    sid = "BoundedRoles"
    actions = [
      "iam:CreateRole",
      "iam:DeleteRolePolicy",
      "iam:PutRolePermissionsBoundary",
      "iam:PutRolePolicy",
    ]
    resources = local.roles

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [local.boundary_arn]
    }
  }

  statement {
    sid = "Roles"
    actions = [
      "iam:DeleteRole",
      "iam:TagRole",
      "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
      "iam:UpdateRoleDescription",
    ]
    resources = local.roles
  }

  statement {
    sid       = "PassRolesToLambda"
    actions   = ["iam:PassRole"]
    resources = local.roles

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["lambda.amazonaws.com"]
    }
  }

  statement {
    sid = "LogGroups"
    actions = [
      "logs:AssociateKmsKey",
      "logs:CreateLogGroup",
      "logs:DeleteLogGroup",
      "logs:DeleteRetentionPolicy",
      "logs:DisassociateKmsKey",
      "logs:PutRetentionPolicy",
      "logs:TagResource",
      "logs:UntagResource",
    ]
    resources = concat(local.logs, [for group in local.logs : "${group}:*"])
  }

  # No object, but to see whether there is one: a bucket that still holds failures is emptied by a person.
  statement {
    sid = "Buckets"
    actions = [
      "s3:CreateBucket",
      "s3:DeleteBucket",
      "s3:DeleteBucketPolicy",
      "s3:ListBucketVersions",
      "s3:PutBucketOwnershipControls",
      "s3:PutBucketPolicy",
      "s3:PutBucketPublicAccessBlock",
      "s3:PutBucketTagging",
      "s3:PutBucketVersioning",
      "s3:PutEncryptionConfiguration",
      "s3:PutLifecycleConfiguration",
    ]
    resources = local.buckets
  }

  statement {
    sid = "Monitoring"
    actions = [
      "cloudwatch:DeleteAlarms",
      "cloudwatch:DeleteDashboards",
      "cloudwatch:PutDashboard",
      "cloudwatch:PutMetricAlarm",
      "cloudwatch:TagResource",
      "cloudwatch:UntagResource",
      "sns:CreateTopic",
      "sns:DeleteTopic",
      "sns:SetTopicAttributes",
      "sns:Subscribe",
      "sns:TagResource",
      "sns:UntagResource",
    ]
    resources = concat(local.alarms, local.dashboards, local.topics)
  }

  # What DynamoDB, Lambda, Kinesis and S3 ask of whoever gives them a key. Keys that AWS manages need no grant.
  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html#dynamodb-kms-authz
  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
  # https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html
  statement {
    sid = "Keys"
    actions = [
      "kms:CreateGrant",
      "kms:Decrypt",
      "kms:Encrypt",
      "kms:GenerateDataKey",
      "kms:GenerateDataKeyWithoutPlaintext",
      "kms:ReEncryptFrom",
      "kms:ReEncryptTo",
    ]
    resources = local.keys
  }

  dynamic "statement" {
    for_each = length(var.former_alarms_key_arns) > 0 ? [var.former_alarms_key_arns] : []

    content {
      sid       = "RetireFormerAlarmsKeys"
      actions   = ["kms:ScheduleKeyDeletion"]
      resources = statement.value
    }
  }
}

# What `make smoke` does: a record in, its total out, both removed.
data "aws_iam_policy_document" "smoke_test" {
  statement {
    sid       = "PutRecord"
    actions   = ["kinesis:PutRecord"]
    resources = local.streams
  }

  statement {
    sid       = "PutLookAndRemove"
    actions   = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"]
    resources = local.tables
  }
}

# The deploy role creates no keys (docs/decisions/0007), so the one that the stage's alarms need is created here.
module "alarms_key" {
  source = "../alarms_key"

  description = "Encrypts the alarms of stage ${var.stage}"
  name_prefix = var.name_prefix
}

# By which `make` finds it: scripts/deploy/bootstrapped.py.
resource "aws_kms_alias" "alarms" {
  name          = "alias/stream-processing-${var.stage}-alarms"
  target_key_id = module.alarms_key.arn
}
