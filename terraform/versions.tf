terraform {
  # 1.11 is the first release whose S3 backend locks with a file of its own (use_lockfile) out of preview.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # A stage's settings are in stages/<stage>.s3.tfbackend; the bucket, whose name holds account and region,
  # comes from scripts/deploy/deploy.py.
  backend "s3" {}
}

# Account, region, credentials and, on the local stage, the endpoint come from the environment.
provider "aws" {
  allowed_account_ids = var.allowed_account_ids

  default_tags {
    tags = var.tags
  }
}
