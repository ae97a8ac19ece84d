"""A connection's transport that joins responses into one packet, and can stop reading."""

import asyncio
import contextlib
import fcntl
import struct
import termios
from typing import Any

MOST_WAITING_BYTES = 64 * 1024


class JoiningTransport:
    """Collects all data of one turn of the event loop and writes it at the end of the turn, as one packet.

    Otherwise a head and its body would be two system calls, and each response would wake up its client separately.
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
        """Bytes that are written but not sent, because the client hasn't read earlier ones."""
        return self._transport.get_write_buffer_size()

    @property
    def n_read(self) -> int:
        """Bytes that have reached the client's system."""
        n_queued = 0
        with contextlib.suppress(OSError):  # Linux: https://man7.org/linux/man-pages/man7/tcp.7.html, SIOCOUTQ
            answer = fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
            (n_queued,) = struct.unpack("i", answer)
        return self._n_written - self.n_unsent - n_queued

    @property
    def is_reading(self) -> bool:
        """Data from the client is read."""
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
        """Write the collected data."""
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
        """Resume reading, unless it is held."""
        self._is_paused = False
        if not self.is_held:
            self._transport.resume_reading()

    def hold(self) -> None:
        """Stop reading, even if Uvicorn resumes it."""
        self.is_held = True
        self._transport.pause_reading()

    def release(self) -> None:
        """Resume reading, unless Uvicorn has paused it."""
        self.is_held = False
        if not self._is_paused:
            self._transport.resume_reading()
