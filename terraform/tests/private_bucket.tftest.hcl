mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  bucket          = { id = "a-bucket", arn = "arn:aws:s3:::a-bucket" }
  noncurrent_days = 90
}

run "is_closed_to_the_public_encrypted_and_versioned" {
  command = plan

  module {
    source = "./modules/private_bucket"
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Failures and states hold people's data: nobody else may read them."
  }

  assert {
    condition = (
      aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
      && one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    )
    error_message = "An object is encrypted, and not overwritten."
  }

  assert {
    condition = (
      length(aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration) == 0
      && aws_s3_bucket_lifecycle_configuration.this.rule[0].noncurrent_version_expiration[0].noncurrent_days == 90
    )
    error_message = "Old versions expire, and nothing else does."
  }

  assert {
    condition = (
      one(data.aws_iam_policy_document.tls_only.statement).effect == "Deny"
      && one(data.aws_iam_policy_document.tls_only.statement).resources == toset(["arn:aws:s3:::a-bucket", "arn:aws:s3:::a-bucket/*"])
    )
    error_message = "Plain text is denied, for the bucket and for what is in it."
  }
}

run "expires_objects_and_uses_a_key_when_asked" {
  command = plan

  module {
    source = "./modules/private_bucket"
  }

  variables {
    expiration_days           = 10
    newer_noncurrent_versions = 20
    kms_key_arn               = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = (
      aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration[0].days == 10
      && aws_s3_bucket_lifecycle_configuration.this.rule[0].noncurrent_version_expiration[0].newer_noncurrent_versions == 20
    )
    error_message = "Objects and their old versions expire when the inputs say."
  }

  assert {
    condition = (
      one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn
      && one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled
    )
    error_message = "Objects are encrypted with the key that is given."
  }
}

run "refuses_to_expire_at_once" {
  command = plan

  module {
    source = "./modules/private_bucket"
  }

  variables {
    expiration_days = 0
    noncurrent_days = 0
  }

  expect_failures = [var.expiration_days, var.noncurrent_days]
}
