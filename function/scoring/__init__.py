"""Scoring in bulk, without Lambda: streams an S3 object into another one with the answers; uses boto3."""
