# The roles that GitHub's workflows assume for one stage: `deploy` creates, tests and removes it, `plan` reads its
# settings, and `reconcile` compares its totals with its records. They reach only names that begin with the stage's
# name_prefix. Reasons and limits: docs/decisions/0007. What each role may
# do is in the file of its name; what the roles that `deploy` creates may do at most is in boundary.tf.

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
