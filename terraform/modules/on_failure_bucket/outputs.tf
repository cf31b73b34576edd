output "name" {
  description = "Name of the bucket, once nobody else can read it."
  value       = module.private.name
}

output "arn" {
  description = "ARN of the bucket, once nobody else can read it."
  value       = module.private.arn
}

output "write_policy" {
  description = "Policy document (JSON) that lets a role store failures in the bucket."
  value       = data.aws_iam_policy_document.write.json
}
