"""The parser of the commands' arguments, whose errors are one line, as all others are."""

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """An argparse parser that doesn't print its usage, of up to ten lines, before what is wrong."""

    def error(self, message: str) -> NoReturn:
        command = (self.prog or "").rpartition(" ")[2]
        self.exit(2, f"{command}: {message}; --help shows the arguments\n")
