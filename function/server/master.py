"""Gunicorn's master, but for its end: at SIGTERM the workers first say for a while that they aren't ready.

A load balancer, or Kubernetes, goes on sending new connections until it has seen that, and a closed port refuses them:
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination.
"""

import mmap
import signal
from typing import Any

from gunicorn.arbiter import Arbiter


class Notice:
    """Whether the end has been given notice of: written by the master, read by the workers."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)  # shared with the processes that a fork makes, those to come too

    def give(self) -> None:
        self._memory[0] = 1

    @property
    def is_given(self) -> bool:
        return bool(self._memory[0])


class Master(Arbiter):
    """Starts, watches and ends the workers."""

    def __init__(self, app: Any, notice: Notice, delay: int) -> None:
        super().__init__(app)
        self._notice = notice
        self._delay = delay  # seconds between notice and end

    def handle_term(self) -> None:
        """Return notice, and end when the delay is over; at a second signal at once."""
        if self._notice.is_given or not self._delay:
            super().handle_term()
        self._notice.give()
        self.log.info("Not ready any more, answering for another %s s", self._delay)
        signal.signal(signal.SIGALRM, lambda *_: self.SIG_QUEUE.put_nowait(signal.SIGTERM))
        signal.alarm(self._delay)
