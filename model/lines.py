"""Cuts a text file into chunks of whole lines."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.files import FileError, Located, Place, one_line

CHUNK = 1 << 20  # bytes; more take more memory and save no time
LONGEST = 16 << 20  # bytes of one row
GROUP = 10_000  # rows in one run of the model
BOM = b"\xef\xbb\xbf"
# A quoted field starts at the start of a field; a quote in it is doubled. The last one of a chunk may be cut off.
_QUOTED = re.compile(rb'(?:(?<=[,;\t\n])|^)"[^"]*+(?:""[^"]*+)*+("|\Z)')


class Chunk(NamedTuple):
    """Whole lines, and their place."""

    start: Place
    end: Place
    content: bytes


def read_chunks(place: Located, start: Place | None, *, has_quotes: bool) -> Iterator[Chunk]:
    """Yield a file's lines in chunks from a place on; with quotes, a line break in a quoted field ends no line.

    Raises:
        FileError: it can't be read, or has a line of more than 16 MiB.
    """
    at = start or Place(0, 1)
    try:
        with place.system.open_input_stream(place.inner, compression="detect") as stream:
            if at.position:
                _skip(stream, at.position)
            elif (rest := stream.read(len(BOM))) == BOM:
                at, rest = Place(len(BOM), 1), b""
            rest = b"" if at.position else rest
            while block := stream.read(CHUNK):
                rest += block
                content = rest[: _find_end(rest, has_quotes=has_quotes, is_long=len(rest) > LONGEST)]
                if len(rest) > LONGEST and not content:
                    fault = (
                        "a quoted field is never closed" if has_quotes and b'"' in rest else "it has more than 16 MiB"
                    )
                    raise FileError(f"{place.path}: line {at.line}: {fault}")
                if content:
                    rest, before = rest[len(content) :], at
                    at = Place(at.position + len(content), at.line + content.count(b"\n"))
                    yield Chunk(before, at, content)
            if rest:
                yield Chunk(at, Place(at.position + len(rest), at.line + rest.count(b"\n") + 1), rest)
    except (OSError, pa.ArrowException) as error:
        raise FileError(f"{place.path}: can't be read; {one_line(error)}") from None


def _skip(stream: pa.NativeFile, n_bytes: int) -> None:
    while n_bytes > 0 and (read := len(stream.read(min(n_bytes, CHUNK)))):
        n_bytes -= read


def _find_end(content: bytes, *, has_quotes: bool, is_long: bool) -> int:
    """Return where the last multiple of GROUP rows ends, or the last row if the text is already long; 0 if none ends.

    So a model gets the same groups of rows as from /predict/batch; the last bit of an answer may depend on that.
    """
    shown = hide_quoted(content) if has_quotes else content
    ends = np.flatnonzero(np.frombuffer(shown, dtype=np.uint8) == ord("\n")) + 1
    if is_long:
        return int(ends[-1]) if len(ends) else 0
    starts = np.concatenate([[0], ends[:-1]]).astype(np.intp) if len(ends) else ends
    is_empty = np.array([not shown[start:end].strip() for start, end in _find_short(starts, ends)], dtype=bool)
    rows = np.delete(ends, np.flatnonzero(ends - starts <= 2)[is_empty]) if len(ends) else ends
    n_rows = len(rows) // GROUP * GROUP
    return int(rows[n_rows - 1]) if n_rows else 0


def _find_short(starts: NDArray[np.intp], ends: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Find lines that may be empty: nothing but a line end, with or without a carriage return."""
    is_short = ends - starts <= 2
    return list(zip(starts[is_short].tolist(), ends[is_short].tolist(), strict=True))


def hide_quoted(content: bytes) -> bytes:
    """Replace quoted fields by as many other bytes, so that each remaining line end is the end of a row."""
    if b'"' not in content:
        return content
    return _QUOTED.sub(lambda found: b"x" * len(found[0]), content)


def find_lines(chunk: Chunk, *, has_quotes: bool) -> list[int]:
    """Return the line in which each row starts; empty lines aren't rows."""
    content = hide_quoted(chunk.content) if has_quotes else chunk.content
    found, line, at = [], chunk.start.line, 0
    for row in content.split(b"\n"):
        if row.strip(b"\r"):
            found.append(line)
        line += chunk.content.count(b"\n", at, at + len(row) + 1)
        at += len(row) + 1
    return found
