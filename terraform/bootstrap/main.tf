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

resource "aws_s3_bucket_public_access_block" "state" {
  bucket                  = aws_s3_bucket.state.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id

  versioning_configuration {
    status = "Enabled"
  }
}

# A state that was overwritten can be had back for three months, and the last twenty for ever.
resource "aws_s3_bucket_lifecycle_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days           = 90
      newer_noncurrent_versions = 20
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  # S3 wants a bucket's versioning settled before it takes rules about versions.
  depends_on = [aws_s3_bucket_versioning.state]
}

resource "aws_s3_bucket_policy" "state" {
  bucket = aws_s3_bucket.state.id
  policy = data.aws_iam_policy_document.tls_only.json

  # S3 refuses two changes of a bucket's access at the same time.
  depends_on = [aws_s3_bucket_public_access_block.state]
}

data "aws_iam_policy_document" "tls_only" {
  statement {
    sid       = "DenyPlainText"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.state.arn, "${aws_s3_bucket.state.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
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
