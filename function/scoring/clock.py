"""Predicts whether an object can be scored in the time that is left."""

import time
from collections.abc import Callable

from function.errors import ObjectError
from function.scoring.download import Download
from function.scoring.job import Place

SURE_SECONDS = 2  # then the speed so far predicts the rest
END_SECONDS = 5  # to stop an upload and to report it


class Clock:
    """The time left, and the part of an object that was read in the time so far."""

    def __init__(self, time_left: Callable[[], float], source: Download) -> None:
        self._time_left, self._source = time_left, source
        self._started = time.monotonic()

    def check(self, place: Place, n_rows: int) -> None:
        """Check after `n_rows` rows whether the rest can be scored in time.

        Raises:
            ObjectError: it can't.
        """
        so_far, left = time.monotonic() - self._started, self._time_left() - END_SECONDS
        n_read, size = self._source.n_read, self._source.size
        rest = so_far / n_read * (size - n_read)
        if rest and rest > left and (so_far > SURE_SECONDS or left < 0):
            got = f"{size:,} bytes: at {n_rows / so_far:,.0f} rows/s, after {n_rows:,}, the rest takes {rest:,.0f} s"
            raise ObjectError(
                f"{place}: expected an object that fits its time, got {got} of {max(left, 0):,.0f} s; split it"
            )
