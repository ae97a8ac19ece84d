"""One file per resource: read the request, call the classifier, write the response; decide nothing."""
