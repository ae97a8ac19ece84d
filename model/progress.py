"""Shows the progress of a long command: a bar on a terminal, a line every ten seconds in a log."""

import shutil
import sys
import time

from tqdm import tqdm

LINE_SECONDS = 10


class Meter:
    """Rows done, rows per second, and the time left, estimated from the bytes done."""

    def __init__(self, n_bytes: int, n_done: int = 0) -> None:
        self._n_bytes, self._n_done = max(1, n_bytes), n_done
        self._n_rows, self._from = 0, n_done
        self._start = self._last = time.monotonic()
        size = shutil.get_terminal_size()  # 80 by 24 if the terminal doesn't tell
        self._bar = tqdm(
            total=self._n_bytes,
            initial=n_done,
            unit="B",
            file=sys.stderr,
            ncols=size.columns,
            nrows=size.lines,
            bar_format="{percentage:3.0f} % {bar} {postfix}{remaining} left",
            disable=not sys.stderr.isatty(),
        )

    def add(self, n_rows: int, n_bytes: int) -> None:
        """Add rows and their bytes."""
        self._n_rows += n_rows
        self._n_done += n_bytes
        now = time.monotonic()
        rate = self._n_rows / max(now - self._start, 1e-9)
        if not self._bar.disable:
            self._bar.set_postfix_str(f"{self._n_rows:,} rows, {rate:,.0f} rows/s, ", refresh=False)
            self._bar.update(n_bytes)
        elif now - self._last >= LINE_SECONDS:
            self._last = now
            share = min(1, self._n_done / self._n_bytes)
            speed = (self._n_done - self._from) / (now - self._start)
            left = tqdm.format_interval(max(0, self._n_bytes - self._n_done) / max(speed, 1e-9))
            line = f"{share:.0%} done, {self._n_rows:,} rows, {rate:,.0f} rows/s, {left} left"
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Restore the terminal."""
        self._bar.close()
