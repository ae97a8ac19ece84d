"""The artifact that is served, and how it came about."""
