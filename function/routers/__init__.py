"""One resource a file: translate JSON to `Classifier` and back, decide nothing."""
