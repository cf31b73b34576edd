data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18: Access logs need a bucket of their own; CloudTrail's data events tell who read what, where that is wanted.
  #checkov:skip=CKV_AWS_144: Failures are kept for days, beside the stream they came from; without that region there is nothing to redrive to.
  #checkov:skip=CKV_AWS_145: A key of one's own is the stage's choice (kms_key_arn); SSE-S3 encrypts every object without one, too.
  #checkov:skip=CKV2_AWS_62: Nothing waits for a failure as an event: `make failures` lists them.

  bucket        = var.bucket
  force_destroy = var.force_destroy
}

module "private" {
  source = "../private_bucket"

  bucket          = { id = aws_s3_bucket.this.id, arn = aws_s3_bucket.this.arn }
  expiration_days = var.retention_days
  noncurrent_days = var.retention_days
  kms_key_arn     = var.kms_key_arn
}

# What Lambda asks of a function's role before it takes a bucket as a failure destination:
# https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
# Were the bucket deleted, anybody could take its name; the conditions keep records from going there.
data "aws_iam_policy_document" "write" {
  statement {
    sid       = "ListFailures"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }

  statement {
    sid       = "PutFailures"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.this.arn}/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
  # Decrypt as well, since a large object is uploaded in parts:
  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid       = "EncryptFailures"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${data.aws_region.current.id}.amazonaws.com"]
      }
    }
  }
}
