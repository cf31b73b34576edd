# The roles that GitHub's workflows assume for one stage: `deploy` makes, tests and removes it, `plan` reads its
# settings. Both reach only what carries the stage's name_prefix. Why, and what that does not stop: docs/decisions/0007.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  # How ARNs of this account begin, by service: of resources in a region, and of those in none.
  regional = { for service in ["cloudwatch", "dynamodb", "kinesis", "lambda", "logs", "sns"] :
    service => "arn:${local.partition}:${service}:${local.region}:${local.account}"
  }
  global = { for service in ["cloudwatch", "iam"] :
    service => "arn:${local.partition}:${service}::${local.account}"
  }

  # What the stage's resources are, by kind.
  streams    = ["${local.regional.kinesis}:stream/${var.name_prefix}*"]
  tables     = ["${local.regional.dynamodb}:table/${var.name_prefix}*"]
  functions  = ["${local.regional.lambda}:function:${var.name_prefix}*"]
  mappings   = ["${local.regional.lambda}:event-source-mapping:*"]
  logs       = ["${local.regional.logs}:log-group:/aws/lambda/${var.name_prefix}*"]
  roles      = ["${local.global.iam}:role/${var.name_prefix}*-${local.region}"]
  buckets    = ["arn:${local.partition}:s3:::${lower(var.name_prefix)}*-${local.account}-${local.region}"]
  topics     = ["${local.regional.sns}:${var.name_prefix}*"]
  alarms     = ["${local.regional.cloudwatch}:alarm:${var.name_prefix}*"]
  dashboards = ["${local.global.cloudwatch}:dashboard/${var.name_prefix}*"]

  state = "${var.state_bucket_arn}/${var.state_key}"

  # What the stage's resources may be encrypted with.
  keys = concat(var.kms_key_arns, [module.alarms_key.arn])

  # The claim that says which of a repository's workflows asks:
  # https://docs.github.com/en/actions/reference/security/oidc
  claims = {
    deploy = ["environment:${var.stage}"]
    plan   = concat(["ref:refs/heads/main"], var.plan_on_pull_requests ? ["pull_request"] : [])
  }

  grants = {
    plan = {
      read-settings = data.aws_iam_policy_document.read.json
      read-state    = data.aws_iam_policy_document.read_state.json
    }
    deploy = {
      read-settings = data.aws_iam_policy_document.read.json
      read-state    = data.aws_iam_policy_document.read_state.json
      write-state   = data.aws_iam_policy_document.write_state.json
      deploy        = data.aws_iam_policy_document.deploy.json
      smoke-test    = data.aws_iam_policy_document.smoke_test.json
    }
  }
}

# The region is in the name because a role is global and a stage is not.
resource "aws_iam_role" "this" {
  for_each = local.claims

  name               = "stream-processing-${var.stage}-${each.key}-${local.region}"
  description        = "What the workflows of ${var.github_repository} may do to stage ${var.stage}: ${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

data "aws_iam_policy_document" "trust" {
  for_each = local.claims

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    # Equal, not like: a pattern here is how strangers get in.
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = [for claim in each.value : "repo:${var.github_repository}:${claim}"]
    }
  }
}

resource "aws_iam_role_policy" "this" {
  for_each = merge([
    for role, grants in local.grants : {
      for grant, policy in grants : "${role}/${grant}" => { role = role, name = grant, policy = policy }
    }
  ]...)

  role   = aws_iam_role.this[each.value.role].name
  name   = each.value.name
  policy = each.value.policy
}

# The state: of this stage alone

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
    ]
    resources = local.roles
  }

  statement {
    sid       = "ReadLogGroups"
    actions   = ["logs:ListTagsForResource"]
    resources = concat(local.logs, [for group in local.logs : "${group}:*"])
  }

  # Listing is authorised against all log groups, and so against none.
  statement {
    sid       = "ListLogGroups"
    actions   = ["logs:DescribeLogGroups"]
    resources = ["${local.regional.logs}:log-group:*"]
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
      "sns:GetSubscriptionAttributes",
      "sns:GetTopicAttributes",
      "sns:ListTagsForResource",
    ]
    resources = concat(local.alarms, local.dashboards, local.topics, [for topic in local.topics : "${topic}:*"])
  }

  # Listing is authorised against all alarms, and so against none.
  statement {
    sid       = "ListAlarms"
    actions   = ["cloudwatch:DescribeAlarms"]
    resources = ["${local.regional.cloudwatch}:alarm:*"]
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
      "kinesis:StartStreamEncryption",
      "kinesis:StopStreamEncryption",
      "kinesis:TagResource",
      "kinesis:UntagResource",
      "kinesis:UpdateShardCount",
      "kinesis:UpdateStreamMode",
    ]
    resources = local.streams
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
      values   = [aws_iam_policy.boundary.arn]
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
      "sns:SetSubscriptionAttributes",
      "sns:SetTopicAttributes",
      "sns:Subscribe",
      "sns:TagResource",
      "sns:Unsubscribe",
      "sns:UntagResource",
    ]
    resources = concat(local.alarms, local.dashboards, local.topics, [for topic in local.topics : "${topic}:*"])
  }

  # What a service asks of whoever gives it a key. Keys that AWS manages need no grant.
  statement {
    sid       = "Keys"
    actions   = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]
    resources = local.keys
  }
}

# The deploy role makes no keys (docs/decisions/0007), so the one that the stage's alarms need is made here.
module "alarms_key" {
  source = "../alarms_key"

  description = "Encrypts the alarms of stage ${var.stage}"
  name_prefix = var.name_prefix
}

# What `make smoke` does: a record in, its total out, both removed.
data "aws_iam_policy_document" "smoke_test" {
  statement {
    sid       = "PutRecord"
    actions   = ["kinesis:PutRecord", "kinesis:PutRecords"]
    resources = local.streams
  }

  statement {
    sid       = "PutLookAndRemove"
    actions   = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"]
    resources = local.tables
  }
}

# The most that a role of the stage can ever do, whatever its policies say: what functions need, on the stage's own
# streams, tables, logs and buckets. Nothing of IAM, so that no function makes a role that is not bounded.
resource "aws_iam_policy" "boundary" {
  name        = "stream-processing-${var.stage}-boundary-${local.region}"
  description = "The most that any role of stage ${var.stage} may do"
  policy      = data.aws_iam_policy_document.boundary.json
}

data "aws_iam_policy_document" "boundary" {
  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [for group in local.logs : "${group}:*"]
  }

  statement {
    sid = "Streams"
    actions = [
      "kinesis:DescribeStream",
      "kinesis:DescribeStreamSummary",
      "kinesis:GetRecords",
      "kinesis:GetShardIterator",
      "kinesis:ListShards",
      "kinesis:PutRecord",
      "kinesis:PutRecords",
    ]
    resources = local.streams
  }

  statement {
    sid = "Tables"
    actions = [
      "dynamodb:BatchGetItem",
      "dynamodb:BatchWriteItem",
      "dynamodb:ConditionCheckItem",
      "dynamodb:DeleteItem",
      "dynamodb:DescribeStream",
      "dynamodb:GetItem",
      "dynamodb:GetRecords",
      "dynamodb:GetShardIterator",
      "dynamodb:ListStreams",
      "dynamodb:PutItem",
      "dynamodb:Query",
      "dynamodb:Scan",
      "dynamodb:UpdateItem",
    ]
    resources = local.tables
  }

  statement {
    sid       = "Buckets"
    actions   = ["s3:ListBucket"]
    resources = local.buckets
  }

  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = [for bucket in local.buckets : "${bucket}/*"]
  }

  dynamic "statement" {
    for_each = length(var.kms_key_arns) > 0 ? [var.kms_key_arns] : []

    content {
      sid       = "Keys"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = statement.value
    }
  }
}
