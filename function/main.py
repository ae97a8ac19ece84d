"""The composition root: environment → settings → classifier → app, once, when it is imported."""

import gc
import logging
import os
import textwrap

from function import classifier
from function.api.app import create_app
from function.observability import logs, tracing
from function.settings import Settings

# A batch is 10,000 lists. At the default of 700 the collector scans them again and again, for 10 % of the time.
gc.set_threshold(20_000)
settings = Settings.load(os.environ)
logs.configure(settings.log_level, settings.log_format)
_classifier = classifier.load(
    settings.model_filepath,
    label_path=settings.label_filepath,
    sha256=settings.model_sha256,
    label_rule=settings.label_rule,
    allow_missing=settings.allow_missing,
)
_log = logging.getLogger(__name__)
_log.info(
    "%s, SHA-256 %s, takes %s; its labels: %s",
    settings.model_filepath,
    _classifier.model.sha256,
    _classifier.model.columns.wanted,
    textwrap.shorten(", ".join(_classifier.model.labels), 400, placeholder=" …"),
)
for note in _classifier.model.notes:
    _log.warning("%s", note)
app = create_app(settings, _classifier)
is_traced = tracing.is_wanted(os.environ)
