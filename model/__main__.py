"""The command line for people who have a model: python -m model COMMAND."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "check": "read an artifact as the service does; print what it contains, or why it is refused",
    "describe": "write facts from training data into an artifact: names, ranges, labels, a sample",
    "export": "convert a trained model in a pickle to an artifact, verified row by row",
    "evaluate": "measure a model on rows with known labels; fail if it isn't good enough",
    "compare": "compare a new version with the old one: what changes, and whether it is better",
    "score": "write the label and the probabilities of every row of files of any size",
}
USAGE = "usage: python -m model COMMAND …; python -m model COMMAND --help shows its arguments"


def main(given: Sequence[str] | None = None) -> None:
    """Run a command by its name; import its module and packages only now."""
    command, *arguments = list(sys.argv[1:] if given is None else given) or ["--help"]
    if command in ("--help", "-h"):
        print(USAGE, "", *(f"{name:<9} {text}" for name, text in COMMANDS.items()), sep="\n")
    elif command not in COMMANDS:
        sys.exit(f"expected a command, one of {', '.join(COMMANDS)}; got {command}\n{USAGE}")
    else:
        sys.argv[0] = f"python -m model {command}"  # for --help and usage
        _run(command, arguments)


def _run(command: str, arguments: Sequence[str]) -> None:
    try:
        import_module(f"model.{command}").main(arguments)
    except ImportError as error:
        if error.name is None:
            raise
        sys.exit(f"model {command} needs the package {error.name}, which is missing: `make model` installs it")
    except BrokenPipeError:  # as of `| head`: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)  # as shells say it of SIGINT


if __name__ == "__main__":
    main()
