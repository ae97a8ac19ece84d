"""What a connection writes to and reads from: answers that come together are one packet, and reading can be held."""

import asyncio
import contextlib
import fcntl
import struct
import termios
from typing import Any

MOST_WAITING_BYTES = 64 * 1024


class JoiningTransport:
    """Writes what one turn of the event loop has to say at its end: an answer is one packet, and answers follow closely.

    A head and its body would be two calls of the system, and each answer would wake up a client that has just slept.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting = b""
        self._n_written = 0
        self._is_paused = False  # by Uvicorn
        self.is_held = False  # by us

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def n_unsent(self) -> int:
        """Bytes that are written, and wait for the client to read others."""
        return self._transport.get_write_buffer_size()

    @property
    def n_read(self) -> int:
        """Bytes that have reached the client's system so far."""
        n_queued = 0
        with contextlib.suppress(OSError):  # Linux: https://man7.org/linux/man-pages/man7/tcp.7.html, SIOCOUTQ
            answer = fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
            (n_queued,) = struct.unpack("i", answer)
        return self._n_written - self.n_unsent - n_queued

    @property
    def is_reading(self) -> bool:
        """What the client sends is read."""
        return not (self._is_paused or self.is_held)

    def write(self, data: bytes) -> None:
        if len(self._waiting) + len(data) > MOST_WAITING_BYTES:
            self.flush()
            self._write(data)
            return
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting += data

    def flush(self) -> None:
        """Write what waits."""
        data, self._waiting = self._waiting, b""
        if data:
            self._write(data)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():  # the connection may be lost meanwhile
            self._n_written += len(data)
            self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def pause_reading(self) -> None:
        self._is_paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, if it isn't held."""
        self._is_paused = False
        if not self.is_held:
            self._transport.resume_reading()

    def hold(self) -> None:
        """Read no more, whatever Uvicorn says."""
        self.is_held = True
        self._transport.pause_reading()

    def release(self) -> None:
        """Read on, as far as Uvicorn says so."""
        self.is_held = False
        if not self._is_paused:
            self._transport.resume_reading()
