output "name" {
  description = "Name of the table."
  value       = aws_dynamodb_table.this.name
}

output "arn" {
  description = "ARN of the table."
  value       = aws_dynamodb_table.this.arn
}

output "stream_arn" {
  description = "ARN of the table's stream; null when it has none."
  value       = var.stream_view_type == null ? null : aws_dynamodb_table.this.stream_arn
}

output "read_stream_policy" {
  description = "Policy document (JSON) that lets a function's role be triggered by the table's stream; null when it has none."
  value       = one(values(data.aws_iam_policy_document.read_stream)[*].json)
}

output "batch_get_policy" {
  description = "Policy document (JSON) that lets a role read many items of the table in one request."
  value       = data.aws_iam_policy_document.batch_get.json
}

output "put_item_policy" {
  description = "Policy document (JSON) that lets a role put whole items into the table, in a transaction or not."
  value       = data.aws_iam_policy_document.put_item.json
}

output "update_item_policy" {
  description = "Policy document (JSON) that lets a role update items of the table."
  value       = data.aws_iam_policy_document.update_item.json
}
