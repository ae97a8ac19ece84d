"""What the local server adds to Uvicorn; it isn't shipped to Lambda."""
