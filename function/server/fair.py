"""Uvicorn's server in a worker: shares one listening socket with other workers, and notices shutdown.

The more connections a worker has, the later it accepts another one.
"""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from uvicorn import Config, Server

from function.server.master import Notice
from function.server.protocol import Protocol

# A worker that accepts all waiting connections gets most of those that come together, and the other workers idle.
FEW = 4  # with fewer connections, a worker accepts another one at once
SECONDS = 0.001  # how long it leaves the next one to others; event loops count whole milliseconds
SHARE = 8  # with so many connections, it accepts one more at a time
SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
ORPHAN_SECONDS = 1  # for open requests
SHORT_SECONDS = 1  # until it tries again, as in asyncio, and between two log lines
log = logging.getLogger("uvicorn.error")


class FairServer(Server):
    """Uvicorn's server, except for how it accepts connections, and how it learns that the master stops or is gone."""

    def __init__(self, config: Config, *, master: int, notice: Notice) -> None:
        super().__init__(config)
        self._master = master
        self._notice = notice

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second, tell the app whether shutdown was announced, and stop if the master is gone."""
        self.lifespan.state["is_ending"] = self._notice.is_given  # https://asgi.readthedocs.io, lifespan state
        if os.getppid() != self._master:
            log.error("the master is gone, so this worker stops")
            self.config.timeout_graceful_shutdown = ORPHAN_SECONDS
            return True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start without sockets, and wait for connections on them here."""
        await super().startup([])
        self._listeners = sockets or []
        self._accepting = set[asyncio.Task[Any]]()
        self._quiet_until = 0.0  # by the event loop's clock
        for listener in self._listeners:
            listener.setblocking(False)
            self._wait(listener)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, then shut down as Uvicorn does."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
        self._listeners = []
        await super().shutdown(sockets)

    def _wait(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._leave, listener)

    def _leave(self, listener: socket.socket) -> None:
        """Leave a new connection to workers that have fewer, for a moment."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        is_busy = self.config.workers > 1 and len(self.server_state.connections) >= FEW
        loop.call_later(SECONDS if is_busy else 0, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        if listener not in self._listeners:  # the worker was stopped meanwhile
            return
        seconds = 0.0
        try:
            for _ in range(1 + len(self.server_state.connections) // SHARE):
                connection, _address = listener.accept()
                self._connect(connection)
        except OSError as error:  # such as if another worker has accepted it
            if error.errno in SHORT:
                seconds = self._make_room(str(error.strerror))
        asyncio.get_running_loop().call_later(seconds, self._wait, listener)

    def _make_room(self, cause: str) -> float:
        """Close the connections that have been idle longest; return the seconds until the next try."""
        connections = [c for c in self.server_state.connections if isinstance(c, Protocol)]
        idle = sorted((c.idle_since, id(c), c) for c in connections if c.idle_since is not None)
        closed = idle[: 1 + len(idle) // SHARE]
        for _, _, connection in closed:
            connection.let_go()
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            log.warning("can't accept a connection: %s; closed %d idle ones to make room", cause, len(closed))
            self._quiet_until = now + SHORT_SECONDS
        return 0 if closed else SHORT_SECONDS

    def _connect(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(self._create_protocol, connection))
        self._accepting.add(task)  # else the garbage collector could remove it
        task.add_done_callback(self._accepting.discard)

    def _create_protocol(self) -> asyncio.Protocol:
        create: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return create(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
