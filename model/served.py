"""Loads a classifier as the service does, with the same settings."""

import argparse
import os
from pathlib import Path

from function.classifier import Classifier, load
from function.errors import ArtifactError
from function.settings import Settings


def read_settings(artifact: Path, labels: Path | None) -> Settings:
    """Read the service's settings, but with the command's artifact and, if given, its labels.

    Raises:
        SettingsError: one of them is wrong.
    """
    environ = {"MODEL_FILEPATH": str(artifact)}
    if labels is not None:
        environ["LABEL_FILEPATH"] = str(labels)
    return Settings.load(os.environ | environ)


def load_served(settings: Settings) -> Classifier:
    """Load the artifact.

    Raises:
        ArtifactError: the service would refuse it.
    """
    path = settings.model_filepath
    try:
        path.open("rb").close()
    except OSError as error:  # not `load`'s, which speaks of the service's variables
        raise ArtifactError(f"{path}: can't be read ({error.strerror})") from None
    return load(
        path,
        label_path=settings.label_filepath,
        sha256=settings.model_sha256,
        label_rule=settings.label_rule,
        allow_missing=settings.allow_missing,
    )


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Add the argument for labels to a command."""
    parser.add_argument("--labels", type=Path, help="index -> label, JSON; default: label.json beside the artifact")
