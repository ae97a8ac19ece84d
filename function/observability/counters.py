"""Counters of several processes: each process has a file with its sums, and a reader adds the files up.

A new file is written whole, then replaces the old one. With shared memory instead, as in prometheus_client, a full disk
would kill the process: https://man7.org/linux/man-pages/man2/mmap.2.html, SIGBUS.
"""

import contextlib
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import orjson

ENDED = "ended.json"  # the sums of ended processes
MOST_NAMES = 100  # of files that were merged, for processes that are reading meanwhile

Sums = dict[tuple[str, ...], list[float]]  # (metric, *labels) -> numbers


def add(sums: Sums, more: Sums) -> None:
    """Add more sums to `sums`."""
    for key, numbers in more.items():
        known = sums.get(key)
        sums[key] = numbers if known is None else [a + b for a, b in zip(known, numbers, strict=True)]


class CounterFolder:
    """The folder with one file per process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pid = 0
        self._name = ""

    def write(self, sums: Sums) -> None:
        """Replace the sums that this process wrote before.

        Raises:
            OSError: such as a full disk; the old sums are still there.
        """
        if self._pid != os.getpid():  # the first time, or the first after a fork
            self._pid = os.getpid()
            self._name = f"{self._pid}-{time.time_ns()}.json"  # a later process may have the same id
        self._write(self._name, [], sums)

    def read(self, own: Sums) -> Sums:
        """Return the sums of all processes; `own` are those of this one."""
        total = dict(own)
        others = {path.name: _load(path).sums for path in self._files() if path.name != self._name}
        ended = _load(self._path / ENDED)  # last: a process that ends meanwhile is in both, or only here
        add(total, ended.sums)
        for name, sums in others.items():
            if name not in ended.names:
                add(total, sums)
        return total

    def merge(self, alive: Collection[int]) -> None:
        """Merge the files of ended processes into one; only the process that starts the others calls this.

        Raises:
            OSError: such as a full disk; files that weren't merged still count.
        """
        for path in self._files():
            if int(path.name.partition("-")[0]) in alive:
                continue
            ended = _load(self._path / ENDED)
            if path.name not in ended.names:
                add(ended.sums, _load(path).sums)
                self._write(ENDED, [*ended.names, path.name][-MOST_NAMES:], ended.sums)
            path.unlink()
            path.with_name(f"{path.name}.part").unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return list(self._path.glob("[0-9]*.json"))

    def _write(self, name: str, names: list[str], sums: Sums) -> None:
        self._path.mkdir(mode=0o700, exist_ok=True)  # a cleaner of temporary files may have removed it
        part = self._path / f"{name}.part"
        part.write_bytes(orjson.dumps({"names": names, "sums": list(sums.items())}))
        part.replace(self._path / name)


class _File(NamedTuple):
    """A file's content: sums, and the names of the files that were merged into them."""

    names: list[str]
    sums: Sums


def _load(path: Path) -> _File:
    """Read a file; a missing one counts as empty."""
    with contextlib.suppress(FileNotFoundError):
        content = orjson.loads(path.read_bytes())
        return _File(content["names"], {tuple(key): numbers for key, numbers in content["sums"]})
    return _File([], {})
