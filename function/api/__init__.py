"""The HTTP API: bytes → rows or tensors → answers; the app, its routes, and the entry that every request passes."""
