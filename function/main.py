"""The composition root: environment -> settings -> classifier -> app, once, when it is imported."""

import logging
import os
import textwrap

from function import logs, tracing
from function.app import create_app
from function.classifier import Classifier
from function.settings import Settings

settings = Settings.load(os.environ)
logs.configure(settings.log_level, settings.log_format)
classifier = Classifier.load(settings.model_filepath, label_path=settings.label_filepath, sha256=settings.model_sha256)
logging.getLogger(__name__).info(
    "%s, SHA-256 %s, takes %s; its labels: %s",
    settings.model_filepath,
    classifier.sha256,
    classifier.columns.wanted,
    textwrap.shorten(", ".join(classifier.labels), 400, placeholder=" …"),
)
app = create_app(settings, classifier)
is_traced = tracing.is_wanted(os.environ)
