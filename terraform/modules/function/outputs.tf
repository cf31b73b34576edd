output "name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "arn" {
  description = "ARN of the function, once its role may do what it was granted."
  value       = aws_lambda_function.this.arn
  depends_on  = [aws_iam_role_policy.grant]
}

output "log_group_name" {
  description = "Name of the function's log group."
  value       = aws_cloudwatch_log_group.this.name
}
