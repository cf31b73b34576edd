output "name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "arn" {
  description = "ARN of the function."
  value       = aws_lambda_function.this.arn
}

output "live_arn" {
  description = "ARN of the alias `live`, which is what to trigger, once the function's role may do what it was granted."
  value       = aws_lambda_alias.live.arn
  depends_on  = [aws_iam_role_policy.grant]
}

output "log_group_name" {
  description = "Name of the function's log group."
  value       = aws_cloudwatch_log_group.this.name
}

output "timeout" {
  description = "Seconds after which Lambda ends an invocation."
  value       = aws_lambda_function.this.timeout
}
