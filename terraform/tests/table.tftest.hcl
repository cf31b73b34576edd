mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name     = "GameScoresByUser"
  hash_key = { name = "Username", type = "S" }
}

run "is_on_demand_encrypted_and_silent_by_default" {
  command = plan

  module {
    source = "./modules/table"
  }

  assert {
    condition = (
      aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST"
      && !aws_dynamodb_table.this.server_side_encryption[0].enabled
      && !aws_dynamodb_table.this.stream_enabled
      && output.stream_arn == null
      && output.read_stream_policy == null
    )
    error_message = "A table bills on demand, is encrypted with DynamoDB's own key, and has no stream unless asked for."
  }
}

# A key that is turned on, changed and taken away: each is planned against the state that the run before has left.

run "is_created_with_a_key" {
  module {
    source = "./modules/table"
  }

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
  }

  assert {
    condition     = aws_dynamodb_table.this.server_side_encryption[0].enabled
    error_message = "A table with a key is encrypted with it."
  }
}

run "plans_another_key" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/2"
  }

  assert {
    condition     = aws_dynamodb_table.this.server_side_encryption[0].kms_key_arn == var.kms_key_arn
    error_message = "A change of key is planned."
  }
}

run "plans_to_let_go_of_its_key" {
  command = plan

  module {
    source = "./modules/table"
  }

  assert {
    condition     = !aws_dynamodb_table.this.server_side_encryption[0].enabled
    error_message = "The provider keeps kms_key_arn where it is null, so only a change of enabled takes a key away."
  }
}

run "lets_go_of_its_key" {
  module {
    source = "./modules/table"
  }

}

run "plans_a_key_where_it_had_none" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
  }

  assert {
    condition = (
      aws_dynamodb_table.this.server_side_encryption[0].enabled
      && aws_dynamodb_table.this.server_side_encryption[0].kms_key_arn == var.kms_key_arn
    )
    error_message = "A first key is planned."
  }
}

run "streams_expires_and_protects_when_asked" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    name                   = "GameScoreRecords"
    hash_key               = { name = "RecordID", type = "N" }
    stream_view_type       = "NEW_IMAGE"
    ttl_attribute          = "ExpiresAt"
    point_in_time_recovery = true
    deletion_protection    = true
  }

  assert {
    condition = (
      aws_dynamodb_table.this.stream_view_type == "NEW_IMAGE"
      && aws_dynamodb_table.this.ttl[0].attribute_name == "ExpiresAt"
      && aws_dynamodb_table.this.point_in_time_recovery[0].enabled
      && aws_dynamodb_table.this.deletion_protection_enabled
    )
    error_message = "Stream, expiry, recovery and protection are what the inputs say."
  }
}

run "refuses_a_key_type_that_dynamodb_does_not_have" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    name     = "GameScoreRecords"
    hash_key = { name = "RecordID", type = "Number" }
  }

  expect_failures = [var.hash_key]
}

run "refuses_an_unknown_view_type" {
  command = plan

  module {
    source = "./modules/table"
  }

  variables {
    name             = "GameScoreRecords"
    hash_key         = { name = "RecordID", type = "N" }
    stream_view_type = "NEW"
  }

  expect_failures = [var.stream_view_type]
}

run "lets_each_user_do_one_thing_to_it_alone" {
  command = apply

  module {
    source = "./modules/table"
  }

  variables {
    name             = "GameScoreRecords"
    hash_key         = { name = "RecordID", type = "N" }
    stream_view_type = "NEW_IMAGE"
    kms_key_arn      = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = {
      for statement in concat(
        data.aws_iam_policy_document.batch_get.statement,
        data.aws_iam_policy_document.put_item.statement,
        data.aws_iam_policy_document.update_item.statement,
        data.aws_iam_policy_document.read_stream["NEW_IMAGE"].statement,
      ) : statement.sid => [statement.actions, statement.resources]
      } == {
      BatchGetItem     = [toset(["dynamodb:BatchGetItem"]), toset([aws_dynamodb_table.this.arn])]
      PutItem          = [toset(["dynamodb:PutItem"]), toset([aws_dynamodb_table.this.arn])]
      UpdateItem       = [toset(["dynamodb:UpdateItem"]), toset([aws_dynamodb_table.this.arn])]
      ReadTableStream  = [toset(["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]), toset([aws_dynamodb_table.this.stream_arn])]
      ListTableStreams = [toset(["dynamodb:ListStreams"]), toset(["${aws_dynamodb_table.this.arn}/stream/*"])]
    }
    error_message = "Each policy is for one way to use this table, and no other table."
  }

  assert {
    condition = (
      data.aws_iam_policy_document.use_key.statement[0].resources == toset([var.kms_key_arn])
      && one(data.aws_iam_policy_document.use_key.statement[0].condition).variable == "kms:ViaService"
      && one(data.aws_iam_policy_document.use_key.statement[0].condition).values == tolist(["dynamodb.eu-central-1.amazonaws.com"])
    )
    error_message = "The key is used through DynamoDB alone."
  }
}
