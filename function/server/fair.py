"""How a worker serves: how it shares one listening socket with the others, and how it hears of the end.

The more connections a worker has, the later it accepts another.
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

# A worker that accepts whatever waits takes most of the connections that come at once, and the others rest.
FEW = 4  # connections that a worker accepts at once
SECONDS = 0.001  # that it leaves a further one to the others; event loops count whole milliseconds
SHARE = 8  # of so many connections, one more is accepted at a time
SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
ORPHAN_SECONDS = 1  # that open requests get
SHORT_SECONDS = 1  # until it tries again, as asyncio has it, and between two lines about it
log = logging.getLogger("uvicorn.error")


class FairServer(Server):
    """Uvicorn's server, but for the way in which it accepts connections and learns that the master ends, or is gone."""

    def __init__(self, config: Config, *, master: int, notice: Notice) -> None:
        super().__init__(config)
        self._master = master
        self._notice = notice

    async def on_tick(self, counter: int) -> bool:
        """Look ten times a second: the app gets to know that the end is near, and nobody serves on without a master."""
        self.lifespan.state["is_ending"] = self._notice.is_given  # https://asgi.readthedocs.io, lifespan state
        if os.getppid() != self._master:
            log.error("the master is gone, so this worker ends")
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
        """Accept no more, then end as Uvicorn does."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
        self._listeners = []
        await super().shutdown(sockets)

    def _wait(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._leave, listener)

    def _leave(self, listener: socket.socket) -> None:
        """Leave a connection that has come to the workers that have fewer."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        is_busy = self.config.workers > 1 and len(self.server_state.connections) >= FEW
        loop.call_later(SECONDS if is_busy else 0, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        if listener not in self._listeners:  # the end has come meanwhile
            return
        seconds = 0.0
        try:
            for _ in range(1 + len(self.server_state.connections) // SHARE):
                connection, _address = listener.accept()
                self._connect(connection)
        except OSError as error:  # such as one that another worker has accepted
            if error.errno in SHORT:
                seconds = self._make_room(str(error.strerror))
        asyncio.get_running_loop().call_later(seconds, self._wait, listener)

    def _make_room(self, cause: str) -> float:
        """Close connections that have been idle longest; give the seconds until another can be accepted."""
        connections = [c for c in self.server_state.connections if isinstance(c, Protocol)]
        idle = sorted((c.idle_since, id(c), c) for c in connections if c.idle_since is not None)
        closed = idle[: 1 + len(idle) // SHARE]
        for _, _, connection in closed:
            connection.let_go()
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            log.warning("no connection can be accepted: %s; %d idle ones are closed for others", cause, len(closed))
            self._quiet_until = now + SHORT_SECONDS
        return 0 if closed else SHORT_SECONDS

    def _connect(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(self._create_protocol, connection))
        self._accepting.add(task)  # else it could be collected as garbage
        task.add_done_callback(self._accepting.discard)

    def _create_protocol(self) -> asyncio.Protocol:
        create: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return create(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
