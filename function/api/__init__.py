"""The service over HTTP: bytes → rows or tensors → answers; the app, its routes, and what every request passes."""
