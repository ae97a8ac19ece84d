"""The model, without HTTP: artifact → session and frozen `Model` → probabilities and labels; uses onnxruntime."""

from function.classifier.loader import load, load_bytes
from function.classifier.model import Model
from function.classifier.predictor import Classifier, Prediction

__all__ = ["Classifier", "Model", "Prediction", "load", "load_bytes"]
