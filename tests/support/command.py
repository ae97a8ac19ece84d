"""`python -m model COMMAND` in this process, which has imported what takes seconds already."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from model.__main__ import main


class Result(NamedTuple):
    """What a command leaves."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str | Path) -> Result:
    """Run a command."""
    output, errors, status = io.StringIO(), io.StringIO(), 0
    given: Sequence[str] = [str(argument) for argument in arguments]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            main(given)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            if isinstance(end.code, str):
                print(end.code, file=errors)
    return Result(status, output.getvalue(), errors.getvalue())
