output "name" {
  description = "Name of the stream."
  value       = aws_kinesis_stream.this.name
}

output "arn" {
  description = "ARN of the stream."
  value       = aws_kinesis_stream.this.arn
}

output "read_policy" {
  description = "Policy document (JSON) that lets a function's role be triggered by this stream."
  value       = data.aws_iam_policy_document.read.json
}
