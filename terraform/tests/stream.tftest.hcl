mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name = "Demo-Stream"
}

run "is_one_encrypted_shard_by_default" {
  command = plan

  module {
    source = "./modules/stream"
  }

  assert {
    condition = (
      aws_kinesis_stream.this.shard_count == 1
      && aws_kinesis_stream.this.stream_mode_details[0].stream_mode == "PROVISIONED"
      && aws_kinesis_stream.this.retention_period == 24
    )
    error_message = "The lab's stream has one shard and keeps records for 24 hours."
  }

  assert {
    condition     = aws_kinesis_stream.this.encryption_type == "KMS" && aws_kinesis_stream.this.kms_key_id == "alias/aws/kinesis"
    error_message = "Records are encrypted at rest."
  }
}

run "without_shard_count_is_on_demand" {
  command = plan

  module {
    source = "./modules/stream"
  }

  variables {
    shard_count = null
  }

  assert {
    condition     = aws_kinesis_stream.this.stream_mode_details[0].stream_mode == "ON_DEMAND"
    error_message = "A stream with no shard count scales on demand."
  }
}

run "refuses_a_retention_that_kinesis_does_not_offer" {
  command = plan

  module {
    source = "./modules/stream"
  }

  variables {
    retention_hours = 12
  }

  expect_failures = [var.retention_hours]
}

run "refuses_no_shards_and_half_shards" {
  command = plan

  module {
    source = "./modules/stream"
  }

  variables {
    shard_count = 1.5
  }

  expect_failures = [var.shard_count]
}

run "lets_a_reader_read_and_decrypt_it_and_nothing_else" {
  command = apply

  module {
    source = "./modules/stream"
  }

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = { for statement in data.aws_iam_policy_document.read.statement : statement.sid => [statement.actions, statement.resources] } == {
      ReadStream = [
        toset(["kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"]),
        toset([aws_kinesis_stream.this.arn]),
      ]
      DecryptRecords = [toset(["kms:Decrypt"]), toset([var.kms_key_arn])]
    }
    error_message = "A reader needs five actions on this stream, and to decrypt with its key."
  }

  assert {
    condition = (
      one(data.aws_iam_policy_document.read.statement[1].condition).variable == "kms:EncryptionContext:aws:kinesis:arn"
      && one(data.aws_iam_policy_document.read.statement[1].condition).values == tolist([aws_kinesis_stream.this.arn])
    )
    error_message = "A reader decrypts nothing but this stream's records."
  }
}
