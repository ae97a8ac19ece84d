"""Parquet's footer: moves its offsets, so that a file of one part becomes part of another file.

pyarrow can join footers, but each of its writers starts at a file's first byte. The footer is a struct of Thrift's
compact protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md; its fields are in
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

import io
from collections.abc import Iterable
from typing import NamedTuple

from pyarrow import parquet

MAGIC = b"PAR1"
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
# The fields that hold positions in the file, by the numbers of the fields on the way: FileMetaData.row_groups,
# RowGroup.columns, ColumnChunk.meta_data.
OFFSETS = {
    (4, 5),  # RowGroup.file_offset
    (4, 1, 2),  # ColumnChunk.file_offset
    (4, 1, 4),  # offset_index_offset
    (4, 1, 6),  # column_index_offset
    (4, 1, 3, 9),  # ColumnMetaData.data_page_offset
    (4, 1, 3, 10),  # index_page_offset
    (4, 1, 3, 11),  # dictionary_page_offset
    (4, 1, 3, 14),  # bloom_filter_offset
}


class Part(NamedTuple):
    """A file without its magic bytes and its footer, and the footer."""

    content: memoryview
    footer: bytes


def split(file: memoryview) -> Part:
    """Split a whole Parquet file."""
    n_bytes = int.from_bytes(file[-8:-4], "little")
    return Part(file[4 : -8 - n_bytes], bytes(file[-8 - n_bytes : -8]))


def join(footers: Iterable[bytes]) -> bytes:
    """Join the footers of a file's parts to the end of the file."""
    whole: parquet.FileMetaData = None
    for footer in footers:
        read = parquet.read_metadata(io.BytesIO(MAGIC + footer + len(footer).to_bytes(4, "little") + MAGIC))
        if whole is None:
            whole = read
        else:
            whole.append_row_groups(read)
    written = io.BytesIO()
    whole.write_metadata_file(written)
    return written.getvalue().removeprefix(MAGIC)


def move(footer: bytes, by: int) -> bytes:
    """Move all positions in a footer by a number of bytes."""
    mover = _Mover(footer, by)
    mover.copy_struct(())
    return bytes(mover.written)


class _Mover:
    def __init__(self, footer: bytes, by: int) -> None:
        self._read, self._by, self._at = footer, by, 0
        self.written = bytearray()

    def copy_struct(self, path: tuple[int, ...]) -> None:
        field = 0
        while head := self._take(1)[0]:
            kind, step = head & 15, head >> 4
            field = field + step if step else _from_zigzag(self._copy_varint())
            self._copy(kind, (*path, field))

    def _copy(self, kind: int, path: tuple[int, ...]) -> None:
        if kind == I64 and path in OFFSETS:
            place = _from_zigzag(self._read_varint())
            # A file_offset of 0 means unset.
            self.written += _to_varint((place + self._by if place else 0) << 1)
        elif kind in (I16, I32, I64):
            self._copy_varint()
        elif kind == BYTE:
            self._take(1)
        elif kind == DOUBLE:
            self._take(8)
        elif kind == BINARY:
            self._take(self._copy_varint())
        elif kind in (LIST, SET):
            head = self._take(1)[0]
            n = head >> 4 if head >> 4 < 15 else self._copy_varint()
            for _ in range(n):
                self._copy(BYTE if head & 15 in (TRUE, FALSE) else head & 15, path)
        elif kind == STRUCT:
            self.copy_struct(path)
        elif kind not in (TRUE, FALSE):  # Parquet has no maps
            raise ValueError(f"expected a footer of Parquet, got Thrift's type {kind}")

    def _take(self, n_bytes: int) -> bytes:
        taken = self._read[self._at : self._at + n_bytes]
        self._at += n_bytes
        self.written += taken
        return taken

    def _copy_varint(self) -> int:
        start = self._at
        value = self._read_varint()
        self.written += self._read[start : self._at]
        return value

    def _read_varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._read[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7


def _from_zigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _to_varint(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)
