mock_provider "aws" {
  source = "./tests/mocks"
}

run "keeps_failures_unless_told_otherwise" {
  command = plan

  module {
    source = "./modules/on_failure_bucket"
  }

  variables {
    bucket = "game-score-failures-123456789012-eu-central-1"
  }

  assert {
    condition     = !aws_s3_bucket.this.force_destroy
    error_message = "A destroy does not delete failures."
  }
}

run "refuses_a_name_that_s3_does_not_take" {
  command = plan

  module {
    source = "./modules/on_failure_bucket"
  }

  variables {
    bucket = "Failures"
  }

  expect_failures = [var.bucket]
}

run "takes_failures_from_a_writer_and_gives_none_back" {
  command = apply

  module {
    source = "./modules/on_failure_bucket"
  }

  variables {
    bucket      = "game-score-failures-123456789012-eu-central-1"
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = { for statement in data.aws_iam_policy_document.write.statement : statement.sid => [statement.actions, statement.resources] } == {
      ListFailures    = [toset(["s3:ListBucket"]), toset([aws_s3_bucket.this.arn])]
      PutFailures     = [toset(["s3:PutObject"]), toset(["${aws_s3_bucket.this.arn}/*"])]
      EncryptFailures = [toset(["kms:Decrypt", "kms:GenerateDataKey"]), toset([var.kms_key_arn])]
    }
    error_message = "A writer puts failures into this bucket, encrypted with its key, and reads none."
  }

  assert {
    condition = {
      for statement in data.aws_iam_policy_document.write.statement :
      statement.sid => "${one(statement.condition).variable} ${one(one(statement.condition).values)}"
      } == {
      ListFailures    = "aws:ResourceAccount 123456789012"
      PutFailures     = "aws:ResourceAccount 123456789012"
      EncryptFailures = "kms:ViaService s3.eu-central-1.amazonaws.com"
    }
    error_message = "Failures go to a bucket of this account, and the key is used through S3 alone."
  }
}
