"""Scoring in bulk, without Lambda: an object of S3 → another with the answers, in a stream. The only home of boto3."""
