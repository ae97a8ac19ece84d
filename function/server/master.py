"""Gunicorn's master, except for its shutdown: after SIGTERM the workers first report for a while "not ready".

A load balancer, or Kubernetes, sends new connections until it has noticed that; a closed port would refuse them:
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination.
"""

import mmap
import signal
from typing import Any

from gunicorn.arbiter import Arbiter


class Notice:
    """Whether shutdown was announced: written by the master, read by the workers."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)  # shared with all forked processes, also later ones

    def give(self) -> None:
        self._memory[0] = 1

    @property
    def is_given(self) -> bool:
        return bool(self._memory[0])


class Master(Arbiter):
    """Starts, watches and stops the workers."""

    def __init__(self, app: Any, notice: Notice, delay: int) -> None:
        super().__init__(app)
        self._notice = notice
        self._delay = delay  # seconds between notice and shutdown

    def handle_term(self) -> None:
        """Give notice, and stop after the delay, or at once at a second signal."""
        if self._notice.is_given or not self._delay:
            super().handle_term()
        self._notice.give()
        self.log.info("No longer ready; still answering for %s s", self._delay)
        signal.signal(signal.SIGALRM, lambda *_: self.SIG_QUEUE.put_nowait(signal.SIGTERM))
        signal.alarm(self._delay)
