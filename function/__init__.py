"""One trained classifier behind one FastAPI app: every door serves this package."""

__version__ = "0.1.0"
