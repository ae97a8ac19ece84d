"""Measures how good answers are, with scikit-learn's metrics."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn import metrics

N_BINS = 10  # of the expected calibration error, of equal width
BETTER_HIGH = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "roc_auc")
BETTER_LOW = ("log_loss", "brier_score", "calibration_error", "left_out")


class OfLabel(NamedTuple):
    """How good a model is on one label; None if a metric isn't defined."""

    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    n_rows: int


class Quality(NamedTuple):
    """How good a model is.

    Attributes:
        n_rows: the number of measured rows.
        interval: the 95 % interval of the accuracy (Wilson's).
        baseline: the most common label, and the accuracy of always predicting it.
        log_loss: with the natural logarithm.
        brier_score: from 0 to 2; with two classes from 0 to 1.
        roc_auc: the mean of each label against the rest; with two classes the second's.
        calibration_error: the mean difference of the predicted label's probability from its share of correct rows.
        matrix: rows by true and predicted label.
    """

    n_rows: int
    accuracy: float
    interval: tuple[float, float]
    baseline: tuple[str, float]
    balanced_accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    log_loss: float
    brier_score: float
    roc_auc: float | None
    calibration_error: float
    labels: dict[str, OfLabel]
    matrix: NDArray[np.int64]


def measure(
    labels: tuple[str, ...], truth: NDArray[np.intp], said: NDArray[np.intp], probabilities: NDArray[np.float32]
) -> Quality:
    """Measure answers against the true labels, both as label indexes; probabilities of shape (n_rows, n_classes)."""
    places = list(range(len(labels)))
    sure = probabilities.astype(np.float64)
    sure /= sure.sum(axis=1, keepdims=True)  # scikit-learn expects a sum of 1 with more digits than float32 has
    counts = np.bincount(truth, minlength=len(labels))
    usual = int(counts.argmax())
    n_right = int((truth == said).sum())
    low, high = binomtest(n_right, len(truth)).proportion_ci(method="wilson")
    known = np.flatnonzero(counts)
    by_label = _measure_labels(labels, truth, said, probabilities, counts)
    curves = [found.roc_auc for found in by_label.values()]
    scores = [score for score in (curves if len(labels) > 2 else curves[1:]) if score is not None]
    seen = [place for place in places if counts[place] or (said == place).any()]
    macro = metrics.precision_recall_fscore_support(truth, said, labels=seen, average="macro", zero_division=0)[:3]
    return Quality(
        n_rows=len(truth),
        accuracy=n_right / len(truth),
        interval=(float(low), float(high)),
        baseline=(labels[usual], counts[usual] / len(truth)),
        balanced_accuracy=float(metrics.recall_score(truth, said, labels=known, average="macro", zero_division=0)),
        macro_precision=float(macro[0]),
        macro_recall=float(macro[1]),
        macro_f1=float(macro[2]),
        log_loss=float(metrics.log_loss(truth, sure, labels=places)),
        brier_score=float(metrics.brier_score_loss(truth, sure if len(labels) > 2 else sure[:, 1], **_brier(places))),
        roc_auc=float(np.mean(scores)) if scores else None,
        calibration_error=find_calibration_error(truth == said, sure[np.arange(len(said)), said]),
        labels=by_label,
        matrix=metrics.confusion_matrix(truth, said, labels=places),
    )


def _brier(places: list[int]) -> dict[str, Any]:
    return {"labels": places} if len(places) > 2 else {"pos_label": 1}


def _measure_labels(
    labels: tuple[str, ...],
    truth: NDArray[np.intp],
    said: NDArray[np.intp],
    probabilities: NDArray[np.float32],
    counts: NDArray[np.int64],
) -> dict[str, OfLabel]:
    found = metrics.precision_recall_fscore_support(truth, said, labels=list(range(len(labels))), zero_division=np.nan)
    precision, recall, f1, _ = (values.tolist() for values in found)
    curves = [
        metrics.roc_auc_score(truth == place, probabilities[:, place]) if 0 < counts[place] < len(truth) else None
        for place in range(len(labels))
    ]
    rows = zip(labels, precision, recall, f1, curves, counts.tolist(), strict=True)
    return {name: OfLabel(_known(p), _known(r), _known(f), auc, n) for name, p, r, f, auc, n in rows}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def find_calibration_error(right: NDArray[np.bool_], sure: NDArray[np.float64]) -> float:
    """Return the expected calibration error, over bins of the predicted label's probability.

    https://arxiv.org/abs/1706.04599, equation 3; scikit-learn has only the curve, not this sum.
    """
    bins = np.minimum((sure * N_BINS).astype(np.intp), N_BINS - 1)
    gaps = np.abs(np.bincount(bins, right) - np.bincount(bins, sure))
    return float(gaps.sum() / len(sure))
