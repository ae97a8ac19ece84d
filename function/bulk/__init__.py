"""Lambda's second entry point: scores one object of S3 in a stream, into another. The only home of boto3."""

from function.bulk.entry import handler

__all__ = ["handler"]
