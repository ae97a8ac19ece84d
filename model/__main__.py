"""The one command line of someone who has a model: python -m model COMMAND."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "check": "read an artifact as the service will, and say what was found or why it is refused",
    "describe": "write what a file of training data says into an artifact: names, ranges, labels, a sample",
    "export": "make an artifact of a trained model in a pickle, certified row by row",
    "evaluate": "say how good a model is on rows whose labels are known, and fail where it isn't good enough",
    "compare": "hold a new version against the old one: what changes for whom, and whether it is better",
    "score": "write the label and the probabilities of every row of files, however large they are",
}
USAGE = "usage: python -m model COMMAND …; python -m model COMMAND --help says what it takes"


def main(given: Sequence[str] | None = None) -> None:
    """Run a command by its name, its module and what that needs imported only now."""
    command, *arguments = list(sys.argv[1:] if given is None else given) or ["--help"]
    if command in ("--help", "-h"):
        print(USAGE, "", *(f"{name:<9} {text}" for name, text in COMMANDS.items()), sep="\n")
    elif command not in COMMANDS:
        sys.exit(f"expected a command, one of {', '.join(COMMANDS)}; got {command}\n{USAGE}")
    else:
        sys.argv[0] = f"python -m model {command}"  # what --help and usage call it
        _run(command, arguments)


def _run(command: str, arguments: Sequence[str]) -> None:
    try:
        import_module(f"model.{command}").main(arguments)
    except ImportError as error:
        if error.name is None:
            raise
        sys.exit(f"model {command} needs the package {error.name}, which isn't here: `make .venv/files` installs it")
    except BrokenPipeError:  # as of `| head`: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)  # as shells say it of SIGINT


if __name__ == "__main__":
    main()
