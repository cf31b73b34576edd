output "state_bucket" {
  description = "Name of the bucket of Terraform's state."
  value       = aws_s3_bucket.state.id
}

output "github" {
  description = "The repository that is trusted, and the identity provider that vouches for it, if it was given."
  value = {
    repository        = var.github_repository
    oidc_provider_arn = var.github_oidc_provider_arn
  }
}

output "stages" {
  description = "What GitHub deploys: each stage's settings, as given."
  value       = var.stages
}

output "deployers" {
  description = "Each stage's roles, and the permissions boundary and the alarms' key that its deploys find by name."
  value = {
    for stage, deployer in module.deployer : stage => {
      deploy_role_arn      = deployer.deploy_role_arn
      plan_role_arn        = deployer.plan_role_arn
      reconcile_role_arn   = deployer.reconcile_role_arn
      permissions_boundary = deployer.permissions_boundary
      alarms_key_arn       = deployer.alarms_key_arn
    }
  }
}
