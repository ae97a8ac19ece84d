"""AWS Lambda's second entry point, which scores one S3 object. At import it loads settings, classifier and client."""

import gc
import hashlib
import logging
import os
from typing import Any, Protocol

import orjson

from function import classifier
from function.errors import ServiceError
from function.observability import logs
from function.scoring import s3
from function.scoring.job import read_job
from function.scoring.score import Scorer
from function.settings import Settings

log = logging.getLogger(__name__)
# More than a batch's lists: they hold no cycles, and the search for cycles took two thirds of the time.
gc.set_threshold(50_000)
settings = Settings.load(os.environ)
logs.configure(settings.log_level, settings.log_format)
_classifier = classifier.load(
    settings.model_filepath,
    label_path=settings.label_filepath,
    sha256=settings.model_sha256,
    label_rule=settings.label_rule,
    allow_missing=settings.allow_missing,
)
_client = s3.connect()


class Context(Protocol):
    """The part of Lambda's context that is used: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    def get_remaining_time_in_millis(self) -> int: ...


def _describe_answers() -> str:
    """Return a digest of what decides an answer besides the model: labels, the rule, where values may be missing."""
    model = _classifier.model
    facts = [model.labels, model.label_rule, [str(fill) for fill in model.columns.fills]]
    return hashlib.sha256(orjson.dumps(facts)).hexdigest()


_scorer = Scorer(
    _classifier, _client, {"model-sha256": _classifier.model.sha256, "answers-sha256": _describe_answers()}
)


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Score the object that an event names, and return the counts of its rows.

    Raises:
        ObjectError: it can't be scored; its errors object has the reason too.
        ThrottledError: S3 throttles requests; the same event will work later.
    """
    job = read_job(event)
    try:
        counts = _scorer.score(job, lambda: context.get_remaining_time_in_millis() / 1000)
    except ServiceError as error:
        log.error("%s", error)  # noqa: TRY400 - the message says all; Lambda logs the traceback
        raise
    answer = {"source": str(job.source), "output": str(job.output), **counts._asdict(), "done": 1}
    log.info("scored", extra=answer)
    return answer
