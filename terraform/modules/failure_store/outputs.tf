output "name" {
  description = "Name of the bucket, once nobody else can read it."
  value       = aws_s3_bucket.this.id
  depends_on  = [aws_s3_bucket_public_access_block.this, aws_s3_bucket_policy.this]
}

output "arn" {
  description = "ARN of the bucket, once nobody else can read it."
  value       = aws_s3_bucket.this.arn
  depends_on  = [aws_s3_bucket_public_access_block.this, aws_s3_bucket_policy.this]
}

output "write_policy" {
  description = "Policy document (JSON) that lets a role store failures in the bucket."
  value       = data.aws_iam_policy_document.write.json
}
