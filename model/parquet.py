"""Parquet, read a few rows at a time, however large its row groups are."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyarrow import parquet

from model.files import Batch, Block, FileError, Located, Place, RowFile, check_names, one_line
from model.lines import GROUP

MOST_ROWS = 60_000  # of a block: a multiple of GROUP
MOST_VALUES = 2_000_000
BUFFER = 1 << 20  # bytes of a column per read


class ParquetFile(RowFile):
    """A Parquet file."""

    def __init__(self, place: Located) -> None:
        """Read the schema."""
        super().__init__(place)
        self._place = place
        with self._open() as file:
            schema, self._metadata = file.schema_arrow, file.metadata
        self.names, self.types = schema.names, dict(zip(schema.names, map(_plain, schema.types), strict=True))
        check_names(self.path, self.names)
        of_pandas = schema.pandas_metadata or {}
        self.index = [name for name in of_pandas.get("index_columns", ()) if name in self.names]

    def _open(self) -> parquet.ParquetFile:
        return parquet.ParquetFile(
            self._place.inner, filesystem=self._place.system, pre_buffer=False, buffer_size=BUFFER
        )

    def read(self, start: Place | None = None) -> Iterator[Block]:
        at = (start or Place(0, 1)).position
        first, before = 0, 0
        while first < self._metadata.num_row_groups and before + self._metadata.row_group(first).num_rows <= at:
            before += self._metadata.row_group(first).num_rows
            first += 1
        n_rows = max(1, min(MOST_ROWS, MOST_VALUES // max(1, len(self.names))))
        n_rows = n_rows // GROUP * GROUP or n_rows
        row_bytes = self.n_bytes / max(1, self._metadata.num_rows)
        groups = range(first, self._metadata.num_row_groups)
        waiting: list[pa.RecordBatch] = []  # after a resume, the file's batches don't start where the blocks do
        try:
            with self._open() as file:
                for batch in file.iter_batches(n_rows, row_groups=groups):
                    waiting.append(batch.slice(max(0, at - before)))
                    before += len(batch)
                    if sum(map(len, waiting)) >= n_rows:
                        table = pa.Table.from_batches(waiting)
                        at += n_rows
                        yield self._block(table.slice(0, n_rows), at, row_bytes)
                        waiting = table.slice(n_rows).to_batches()
                if sum(map(len, waiting)):
                    table = pa.Table.from_batches(waiting)
                    yield self._block(table, at + len(table), row_bytes)
        except (OSError, pa.ArrowException) as error:
            raise FileError(f"{self.path}: can't be read; {one_line(error)}") from None

    def _block(self, rows: pa.Table, end: int, row_bytes: float) -> Block:
        first = end - len(rows) + 1

        def parse(names: Sequence[str]) -> Batch:
            table = rows.select(list(names))
            schema = pa.schema([field.with_type(_plain(field.type)) for field in table.schema])
            return Batch(table.cast(schema), None, [], lambda row: first + row)

        return Block(Place(end, end + 1), int(len(rows) * row_bytes), parse)


def _plain(type: pa.DataType) -> pa.DataType:
    """Replace string views, which pyarrow can neither take rows of nor write as CSV."""
    return pa.string() if pa.types.is_string_view(type) else type
