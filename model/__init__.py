"""The shipped artifact, and the commands for people who have a model."""
