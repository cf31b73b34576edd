output "name" {
  description = "Name of the bucket, once nobody else can read it."
  value       = var.bucket.id
  depends_on  = [aws_s3_bucket_public_access_block.this, aws_s3_bucket_policy.this]
}

output "arn" {
  description = "ARN of the bucket, once nobody else can read it."
  value       = var.bucket.arn
  depends_on  = [aws_s3_bucket_public_access_block.this, aws_s3_bucket_policy.this]
}
