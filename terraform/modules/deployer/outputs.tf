output "deploy_role_arn" {
  description = "ARN of the role that deploys, tests and destroys the stage, once it may."
  value       = aws_iam_role.this["deploy"].arn
  depends_on  = [aws_iam_role_policy.this]
}

output "plan_role_arn" {
  description = "ARN of the role that reads the stage's settings, to plan and to find drift, once it may."
  value       = aws_iam_role.this["plan"].arn
  depends_on  = [aws_iam_role_policy.this]
}

output "reconcile_role_arn" {
  description = "ARN of the role that compares the stage's totals with its records, once it may."
  value       = aws_iam_role.this["reconcile"].arn
  depends_on  = [aws_iam_role_policy.this]
}

output "permissions_boundary" {
  description = "Name of the policy that bounds every role which the deploy role makes."
  value       = aws_iam_policy.boundary.name
}

output "alarms_key_arn" {
  description = "ARN of the key that the stage's alarms are encrypted with."
  value       = module.alarms_key.arn
  depends_on  = [aws_kms_alias.alarms]
}
