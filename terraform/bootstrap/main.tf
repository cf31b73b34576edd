# What must be there before a stage can be deployed: the bucket of Terraform's state and, for deploys from GitHub,
# the roles that its workflows assume. Why it is so: docs/decisions/0007.

# The bucket is older than the state in it.
import {
  to = aws_s3_bucket.state
  id = var.state_bucket
}

resource "aws_s3_bucket" "state" {
  #checkov:skip=CKV_AWS_18: Access logs need a bucket of their own; CloudTrail's data events tell who read the state, where that is wanted.
  #checkov:skip=CKV_AWS_144: The state is of this region's resources, and its old versions are kept; without the region it is of no use.
  #checkov:skip=CKV_AWS_145: SSE-S3 encrypts every object, and no state here holds a secret; a key would be one more thing to lose.
  #checkov:skip=CKV2_AWS_62: Nothing waits for a changed state as an event.

  bucket = var.state_bucket

  lifecycle {
    prevent_destroy = true
  }
}

# A state that was overwritten can be had back for three months, and the last twenty for ever.
module "state_bucket" {
  source = "../modules/private_bucket"

  bucket                    = { id = aws_s3_bucket.state.id, arn = aws_s3_bucket.state.arn }
  noncurrent_days           = 90
  newer_noncurrent_versions = 20
}

# Who may deploy

locals {
  # An account has one provider a URL: created here, unless it is there already, for another region or repository.
  new_provider = toset(
    var.github_repository != null && var.github_oidc_provider_arn == null
    ? ["https://token.actions.githubusercontent.com"] : []
  )
  oidc_provider_arn = one(concat(
    var.github_oidc_provider_arn[*],
    values(aws_iam_openid_connect_provider.github)[*].arn,
  ))
}

resource "aws_iam_openid_connect_provider" "github" {
  for_each = local.new_provider

  url            = each.value
  client_id_list = ["sts.amazonaws.com"]
}

module "deployer" {
  source   = "../modules/deployer"
  for_each = var.stages

  stage                 = each.key
  name_prefix           = each.value.name_prefix
  github_repository     = var.github_repository
  oidc_provider_arn     = local.oidc_provider_arn
  state_bucket_arn      = aws_s3_bucket.state.arn
  state_key             = each.value.state_key
  plan_on_pull_requests = each.value.plan_on_pull_requests

  kms_key_arns           = each.value.kms_key_arns
  alarms_key_arns        = each.value.alarms_key_arns
  former_alarms_key_arns = each.value.former_alarms_key_arns
}
