"""One resource a file: read the request, ask the classifier, write the answer; decide nothing."""
