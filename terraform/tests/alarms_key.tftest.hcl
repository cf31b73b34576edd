mock_provider "aws" {
  source = "./tests/mocks"
}

run "is_used_by_cloudwatch_for_alarms_of_these_names_alone" {
  command = plan

  module {
    source = "./modules/alarms_key"
  }

  variables {
    description = "Encrypts the alarms of stage dev"
    name_prefix = "dev-"
  }

  assert {
    condition = (
      aws_kms_key.this.enable_key_rotation
      && { for one in data.aws_iam_policy_document.key.statement[1].condition : one.variable => one.values[0] } == {
        "aws:SourceAccount" = "123456789012"
        "aws:SourceArn"     = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:dev-*"
      }
    )
    error_message = "The key rotates, and no other alarm is encrypted with it."
  }
}
