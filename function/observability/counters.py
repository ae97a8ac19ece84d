"""Counters of several processes: each has a file of its own sums, and whoever reads adds the files up.

A file is written whole and put in place of the one before. With shared memory in its place, as prometheus_client's own
way is, a full disk would end the process: https://man7.org/linux/man-pages/man2/mmap.2.html, SIGBUS.
"""

import contextlib
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import orjson

ENDED = "ended.json"  # the sums of processes that are gone
MOST_NAMES = 100  # of processes that have ended while somebody reads

Sums = dict[tuple[str, ...], list[float]]  # (metric, *labels) -> its numbers


def add(sums: Sums, more: Sums) -> None:
    """Add further sums to those that are there."""
    for key, numbers in more.items():
        known = sums.get(key)
        sums[key] = numbers if known is None else [a + b for a, b in zip(known, numbers, strict=True)]


class CounterFolder:
    """The folder with a file for each process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pid = 0
        self._name = ""

    def write(self, sums: Sums) -> None:
        """Put this process' sums in place of those that it wrote before.

        Raises:
            OSError: such as that of a full disk; the ones before are still there.
        """
        if self._pid != os.getpid():  # the first time, or the first after a fork
            self._pid = os.getpid()
            self._name = f"{self._pid}-{time.time_ns()}.json"  # a process to come may have the same number
        self._write(self._name, [], sums)

    def read(self, own: Sums) -> Sums:
        """Return the sums of all processes; of this one those that are given."""
        total = dict(own)
        others = {path.name: _load(path).sums for path in self._files() if path.name != self._name}
        ended = _load(self._path / ENDED)  # after the others: who ends meanwhile is in both, or in this one alone
        add(total, ended.sums)
        for name, sums in others.items():
            if name not in ended.names:
                add(total, sums)
        return total

    def merge(self, alive: Collection[int]) -> None:
        """Add the files of processes that are gone to one; for the one process that starts the others.

        Raises:
            OSError: such as that of a full disk; what isn't added is counted where it is.
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
        self._path.mkdir(mode=0o700, exist_ok=True)  # whoever tidies up temporary files may have removed it
        part = self._path / f"{name}.part"
        part.write_bytes(orjson.dumps({"names": names, "sums": list(sums.items())}))
        part.replace(self._path / name)


class _File(NamedTuple):
    """What a file holds: sums, and the names of the files that are in them."""

    names: list[str]
    sums: Sums


def _load(path: Path) -> _File:
    """Read a file; one that isn't there, or not any more, is empty."""
    with contextlib.suppress(FileNotFoundError):
        content = orjson.loads(path.read_bytes())
        return _File(content["names"], {tuple(key): numbers for key, numbers in content["sums"]})
    return _File([], {})
