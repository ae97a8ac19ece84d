"""A file that is written part by part, can be resumed after a kill, and appears under its name when it is complete."""

import base64
import contextlib
import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, Self

import pyarrow as pa

from model.encode import Encoder
from model.files import COMPRESSIONS, S3, Fault, FileError, Place, locate, one_line

COPY = 8 << 20  # bytes


class Progress(NamedTuple):
    """The progress of an output.

    Attributes:
        file: the index of the next input.
        place: where to continue in it.
        n_rows: answered rows so far.
        n_refused: refused rows so far.
    """

    file: int = 0
    place: Place | None = None
    n_rows: int = 0
    n_refused: int = 0


class Output:
    """The unfinished output: three files beside its later name (for S3: in the working directory).

    `.partial` and `.errors.partial` grow; `.journal` has a line for each part, with the sizes of both after it.
    """

    def __init__(self, path: str, encoder: Encoder, identity: dict[str, Any]) -> None:
        self.path, self.errors_path = path, name_errors(path)
        self.progress = Progress()
        self._encoder, self._identity = encoder, identity
        base = path if not path.startswith(S3) else path.removeprefix(S3).replace("/", "_")
        self._names = [Path(f"{base}{ending}") for ending in (".partial", ".errors.partial", ".journal")]
        self._feet: list[bytes] = []
        self._files: list[IO[bytes]] = []

    def open(self, *, resumes: bool) -> Self:
        """Start, or continue an earlier run.

        Raises:
            FileError: it can't be written, another run writes it, or the earlier run had other inputs.
        """
        try:
            for name in self._names:
                self._files.append(name.open("r+b" if name.exists() else "w+b"))
            fcntl.flock(self._files[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
            sizes = self._find_resumed() if resumes else None
        except BlockingIOError:
            self.close()
            raise FileError(f"{self.path}: another run is writing it") from None
        except OSError as error:
            self.close()
            raise FileError(f"{self.path}: can't be written ({error.strerror})") from None
        except FileError:
            self.close()
            raise
        if sizes is None:
            for file in self._files:
                file.truncate(0)
            self._write(2, json.dumps(self._identity).encode() + b"\n")
            self._write(0, self._encoder.head)
        else:
            for file, size in zip(self._files, sizes, strict=True):
                file.truncate(size)
                file.seek(size)
        return self

    def _find_resumed(self) -> list[int] | None:
        """Read the journal, and return the sizes of the files after its last complete part."""
        content = self._files[2].read()
        lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        if not lines:
            return None
        if json.loads(lines[0]) != self._identity:
            fix = "start again without --resume"
            raise FileError(f"{self.path}: expected the model, the files and the options of the run before; {fix}")
        lengths = [os.fstat(file.fileno()).st_size for file in self._files[:2]]
        sizes, journal = [len(self._encoder.head), 0], len(lines[0])
        for line in lines[1:]:
            part = json.loads(line)
            if any(size > length for size, length in zip(part["sizes"], lengths, strict=True)):
                break  # after a power failure, only the journal may have been saved
            sizes, journal = part["sizes"], journal + len(line)
            self._feet.append(base64.b64decode(part["footer"]))
            file, place, *counts = part["progress"]
            self.progress = Progress(file, place and Place(*place), *counts)
        return [*sizes, journal]

    def add(self, content: bytes | memoryview, foot: bytes, faults: Sequence[tuple[str, Fault]], to: Progress) -> None:
        """Write a part, its refused rows, and the progress."""
        try:
            moved = self._encoder.move(foot, self._files[0].tell()) if len(content) else b""
            self._write(0, content)
            if faults:
                self._write(1, b"".join(write_fault(file, fault) for file, fault in faults))
            self._feet.append(moved)
            sizes = [file.tell() for file in self._files[:2]]
            line = {"progress": to, "sizes": sizes, "footer": base64.b64encode(moved).decode()}
            self._write(2, json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise FileError(f"{self.path}: can't be written ({error.strerror})") from None
        self.progress = to

    def _write(self, number: int, content: bytes | memoryview) -> None:
        self._files[number].write(content)
        self._files[number].flush()

    def publish(self) -> None:
        """Give the files their names, the output last; without errors there is no errors file.

        Raises:
            FileError: they can't be written there.
        """
        try:
            self._write(0, self._encoder.finish([foot for foot in self._feet if foot]))
            for file in self._files[:2]:
                os.fsync(file.fileno())
            if self.progress.n_refused:
                _move(self._names[1], self.errors_path)
            else:
                _remove(self.errors_path)
            _move(self._names[0], self.path)
        except (OSError, pa.ArrowException) as error:
            raise FileError(f"{self.path}: can't be written; {one_line(error)}") from None
        self.discard()

    def discard(self) -> None:
        """Remove the unfinished output."""
        for name in self._names:
            name.unlink(missing_ok=True)

    def close(self) -> None:
        """Keep the unfinished output for a run that continues it."""
        for file in self._files:
            file.close()


def name_errors(path: str) -> str:
    """Name the file of refused rows: out.parquet → out.errors.jsonl."""
    name = PurePosixPath(path)
    stem = PurePosixPath(name.stem) if name.suffix in COMPRESSIONS else name
    return path.removesuffix(name.name) + f"{stem.stem}.errors.jsonl"


def write_fault(file: str, fault: Fault) -> bytes:
    return json.dumps({"file": file, "line": fault.line, "reason": fault.reason}, ensure_ascii=False).encode() + b"\n"


def _move(source: Path, path: str) -> None:
    if not path.startswith(S3):
        source.replace(path)
        return
    place = locate(path)
    with source.open("rb") as file, place.system.open_output_stream(place.inner) as stream:
        while content := file.read(COPY):
            stream.write(content)
    source.unlink()


def _remove(path: str) -> None:
    if not path.startswith(S3):
        Path(path).unlink(missing_ok=True)
        return
    place = locate(path)
    with contextlib.suppress(FileNotFoundError):
        place.system.delete_file(place.inner)
