"""One trained classifier behind one FastAPI app: every entry point serves this package."""

__version__ = "0.1.0"
