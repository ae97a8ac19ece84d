"""The common arguments of commands that read files."""

import argparse
from pathlib import Path

from model.served import add_labels
from model.truth import Reading

FILES = "CSV, JSON lines or Parquet, by its name; also a glob, a folder, s3://…"


def add_reading(parser: argparse.ArgumentParser, *, target_is_required: bool) -> None:
    """Add the arguments for which rows to read, and how."""
    parser.add_argument("files", nargs="+", help=FILES)
    parser.add_argument("--target", required=target_is_required, help="the column of the true labels")
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for how to read rows."""
    parser.add_argument("--by-position", action="store_true", help="take the features in the order of the columns")
    parser.add_argument(
        "--no-header", action="store_true", help="for a CSV without a header: columns are called column 1, column 2, …"
    )
    parser.add_argument("--ignore", action="append", default=[], help="a column that is no feature; may be repeated")
    add_labels(parser)


def read_arguments(arguments: argparse.Namespace) -> Reading:
    """Read these arguments."""
    return Reading(
        arguments.files,
        getattr(arguments, "target", None),
        by_position=arguments.by_position or arguments.no_header,
        has_header=not arguments.no_header,
        ignore=arguments.ignore,
        takes_target="target" in arguments,
    )


def add_artifact(parser: argparse.ArgumentParser, name: str = "artifact") -> None:
    parser.add_argument(name, type=Path, help="the model, an ONNX file")
