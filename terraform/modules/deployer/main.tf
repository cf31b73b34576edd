# The roles that GitHub's workflows assume for one stage: `deploy` creates, tests and removes it, `plan` reads its
# settings, and `reconcile` compares its totals with its records. They reach only names that begin with the stage's
# name_prefix. Reasons and limits: docs/decisions/0007.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  # How ARNs of this account begin, by service: of resources in a region, and of those in none.
  regional = { for service in ["cloudwatch", "dynamodb", "kinesis", "kms", "lambda", "logs", "sns"] :
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
  roles      = ["${local.global.iam}:role/stream-processing/${var.stage}/${var.name_prefix}*-${local.region}"]
  buckets    = ["arn:${local.partition}:s3:::${lower(var.name_prefix)}*-${local.account}-${local.region}"]
  topics     = ["${local.regional.sns}:${var.name_prefix}*"]
  alarms     = ["${local.regional.cloudwatch}:alarm:${var.name_prefix}*"]
  dashboards = ["${local.global.cloudwatch}:dashboard/${var.name_prefix}*"]

  state = "${var.state_bucket_arn}/${var.state_key}"

  # The boundary is named here rather than read from the resource, so that the policies are known at the plan.
  boundary_name = "stream-processing-${var.stage}-boundary-${local.region}"
  boundary_arn  = "${local.global.iam}:policy/${local.boundary_name}"

  # Keys that encrypt data, and keys that encrypt alarms: the functions use the first alone.
  alarms_keys = concat([module.alarms_key.arn], var.alarms_key_arns)
  keys        = concat(var.kms_key_arns, local.alarms_keys)

  main = "refs/heads/main"

  # The claims that say which of a repository's workflow runs asks. A job in an environment has the environment in its
  # subject in place of the ref, so its ref is compared by itself, which STS can do since January 2026:
  # https://docs.github.com/en/actions/reference/security/oidc
  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
  claims = {
    deploy    = { sub = ["environment:${var.stage}"], ref = [local.main] }
    plan      = { sub = concat(["ref:${local.main}"], var.plan_on_pull_requests ? ["pull_request"] : []), ref = [] }
    reconcile = { sub = ["ref:${local.main}"], ref = [] }
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
    reconcile = {
      read-state = data.aws_iam_policy_document.read_state.json
      reconcile  = data.aws_iam_policy_document.reconcile.json
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
      values   = [for claim in each.value.sub : "repo:${var.github_repository}:${claim}"]
    }

    dynamic "condition" {
      for_each = length(each.value.ref) > 0 ? [each.value.ref] : []

      content {
        test     = "StringEquals"
        variable = "token.actions.githubusercontent.com:ref"
        values   = condition.value
      }
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

# What `make reconcile` does when it repairs nothing: it reads the tables and publishes its verdict.
data "aws_iam_policy_document" "reconcile" {
  statement {
    sid       = "ReadTables"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:Scan"]
    resources = local.tables
  }

  # Names of tables and days of tombstones are settings of the function.
  statement {
    sid       = "ReadFunctions"
    actions   = ["lambda:GetFunction", "lambda:GetFunctionConfiguration"]
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

# The most that a role of the stage can ever do, whatever its policies say: what functions need, on the stage's own
# streams, tables, logs and buckets. Nothing of IAM, so that no function makes a role that is not bounded.
resource "aws_iam_policy" "boundary" {
  name        = local.boundary_name
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
      sid = "Keys"
      actions = [
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
      ]
      resources = statement.value
    }
  }
}
