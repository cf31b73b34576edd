terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # The state lives in the bucket that this root looks after; scripts/deploy/bootstrap.py names it.
  backend "s3" {
    key          = "stream-processing/bootstrap.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

# Account, region, credentials and, on a local cloud, the endpoint come from the environment.
provider "aws" {
  allowed_account_ids = var.allowed_account_ids

  default_tags {
    tags = var.tags
  }
}
