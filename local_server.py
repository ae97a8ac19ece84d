"""The local entry point: the same app under Gunicorn with Uvicorn workers. `python local_server.py --help`."""

import argparse
import atexit
import contextlib
import gc
import logging.config
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from gunicorn.app.base import BaseApplication
from gunicorn.errors import AppImportError
from gunicorn.util import import_app, load_class
from gunicorn.workers.gasgi import ASGIWorker
from pydantic import BeforeValidator, Field, FilePath, NonNegativeInt, PositiveInt
from uvicorn_worker import UvicornWorker

from function.errors import ServiceError, SettingsError
from function.observability import logs, tracing
from function.observability.counters import CounterFolder
from function.server.cores import count_cores
from function.server.fair import FairServer
from function.server.master import Master, Notice
from function.server.protocol import Protocol
from function.server.rules import Rules
from function.settings import Environment, Settings

# After the open requests, for the last spans and counts. Later Gunicorn kills a worker, and suspects a lack of memory.
END_SECONDS = 3
SPAN_SECONDS = 2  # of END_SECONDS
FEWEST_FILES = 32  # a worker has 14 open before its first connection
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - tempfile makes the names in it # nosec B108


class ServerSettings(Environment):
    """The local server's settings, besides the app's own."""

    host: Annotated[str, Field(description="address to listen on; 0.0.0.0 for every IPv4 address, :: for IPv6 too")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65535, description="port to listen on; 0 for any free one")] = 8000
    workers: Annotated[PositiveInt, Field(description="worker processes; default: one per core that may be used")] = (
        count_cores()
    )
    uvicorn_worker: Annotated[str, Field(description="Gunicorn worker class")] = "local_server.Worker"
    loglevel: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        BeforeValidator(lambda value: value.lower()),
        Field(description="level of Gunicorn's and Uvicorn's lines; LOG_LEVEL is the app's"),
    ] = "info"
    logconfig: Annotated[FilePath | None, Field(description="logging configuration file for Gunicorn and Uvicorn")] = (
        None
    )
    backlog: Annotated[int, Field(ge=1, le=65535, description="connections that may wait to be accepted")] = 2048
    limit_max_requests: Annotated[NonNegativeInt, Field(description="replace a worker after so many; 0: never")] = 0
    max_requests_jitter: Annotated[NonNegativeInt, Field(description="random addition to LIMIT_MAX_REQUESTS")] = 0
    graceful_timeout: Annotated[PositiveInt, Field(description="seconds that open requests get at shutdown")] = 30
    shutdown_delay: Annotated[
        int,
        Field(ge=0, le=3600, description="seconds after SIGTERM in which readiness is 503 and all else is answered"),
    ] = 0
    request_timeout: Annotated[PositiveInt, Field(description="seconds that a request may take to arrive")] = 10
    keep_alive: Annotated[PositiveInt, Field(description="seconds that an idle connection is kept")] = 75
    app_name: Annotated[str, Field(pattern=r"^\w+(\.\w+)*(:\w.*)?$", description="the ASGI app to serve")] = (
        "function.main:app"
    )
    reload: Annotated[bool, Field(description="restart workers when code changes; development only")] = False


class Worker(UvicornWorker):
    """Uvicorn configured like the Lambda handler: no lifespan, and access lines only from the app."""

    CONFIG_KWARGS = UvicornWorker.CONFIG_KWARGS | {
        "lifespan": "off",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # nothing here uses the caller's address, and it costs time in each request
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config.timeout_graceful_shutdown = self.cfg.graceful_timeout - END_SECONDS
        request_timeout = ServerSettings.load(os.environ).request_timeout
        self.config.http = partial(Protocol, rules=Rules(request_timeout, self.cfg.keepalive))

    def init_signals(self) -> None:
        super().init_signals()
        # Uvicorn raises the signal again after shutdown, which would leave no time for the last metrics and spans.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())

    async def _serve(self) -> None:
        """Serve as UvicornWorker does, but with our server."""
        self.config.app, self.config.workers = self.wsgi, self.cfg.workers
        server = FairServer(self.config, master=self.ppid, notice=self.app.notice)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop as at SIGTERM: Gunicorn sets a flag for its own loop, which Uvicorn ignores."""
        os.kill(os.getpid(), signal.SIGTERM)


class LocalServer(BaseApplication):
    """Gunicorn configured by settings instead of a command line."""

    def __init__(self, options: dict[str, Any], settings: ServerSettings) -> None:
        self.options = options
        self.app_name = settings.app_name
        self.shutdown_delay = settings.shutdown_delay
        self.notice = Notice()
        super().__init__()

    def run(self) -> None:
        Master(self, self.notice, self.shutdown_delay).run()

    def load_config(self) -> None:
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        try:
            app = import_app(self.app_name)
        except (ImportError, AppImportError) as error:
            cause = str(error).splitlines()[0]
            raise SettingsError(f"APP_NAME={self.app_name!r}: {cause}") from None
        gc.freeze()  # imported objects stay, so the workers needn't scan them for garbage
        return app


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; an error at start-up is one line on standard error and status 1."""
    argparse.ArgumentParser(
        description="Serve the model over HTTP. Everything is set by environment variables:",
        epilog=_explain(ServerSettings) + _explain(Settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)
    _open_standard_streams()
    try:
        settings = ServerSettings.load(os.environ)
        _check_files()
        _find_temporary_folder()
        options = _options(settings, Settings.load(os.environ))
        os.environ["METRICS"] = os.environ.get("METRICS") or "PROMETHEUS"  # empty means unset
        if os.environ["METRICS"].upper() == "PROMETHEUS":
            given = os.environ.get("METRICS_FOLDER")
            os.environ["METRICS_FOLDER"] = _check_folder(given) if given else _make_folder()
        LocalServer(options, settings).run()
    except ServiceError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _open_standard_streams() -> None:
    """Open descriptors 0 to 2 if they are closed: else a client's connection could get one, and all printed text."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _check_files() -> None:
    """Refuse fewer open files than a worker needs: Gunicorn would restart workers again and again."""
    n_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if n_files < FEWEST_FILES:
        raise SettingsError(f"ulimit -n: expected at least {FEWEST_FILES} open files, got {n_files}")


def _find_temporary_folder() -> None:
    """Find a folder for Gunicorn's and the counters' files; a read-only container still has its shared memory."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        if not os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
            message = "TMPDIR: expected a writable temporary folder, got none; /tmp and /dev/shm aren't writable either"
            raise SettingsError(message) from None
        tempfile.tempdir = SHARED_MEMORY


def _check_folder(folder: str) -> str:
    """Refuse a folder where the workers can't share their counters: each would answer /metrics with its own."""
    try:
        Path(folder).mkdir(mode=0o700, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        message = f"expected a folder that can be written, or created in one ({error.strerror})"
        raise SettingsError(f"METRICS_FOLDER={folder!r}: {message}") from None
    return folder


def _make_folder() -> str:
    """Create the folder in which the workers share their counters; it is removed when this process ends."""
    folder, master = tempfile.mkdtemp(prefix="web-single-"), os.getpid()

    def remove() -> None:
        # Workers inherit this function with the fork. They remove the folder only if the master is gone.
        if os.getpid() == master or os.getppid() != master:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _explain(settings: type[Environment]) -> str:
    lines = []
    for name, field in settings.model_fields.items():
        value = field.get_default(call_default_factory=True)
        default = "" if value in (None, ()) else f" [{value}]"
        lines.append(f"  {name.upper():<20} {field.description}{default}\n")
    return "".join(lines)


def _options(server: ServerSettings, app: Settings) -> dict[str, Any]:
    stdout = {"level": server.loglevel.upper(), "handlers": ["stdout"], "propagate": False}
    log_config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stdout": {"()": logs.handler, "format": app.log_format}},
        "root": {"level": app.log_level, "handlers": ["stdout"]},
        "loggers": {"gunicorn.error": stdout},
    }
    return {
        "bind": f"fd://{_listen(server)}",
        "workers": server.workers,
        "worker_class": _worker_class(server.uvicorn_worker),
        "loglevel": server.loglevel,
        **({"logconfig": _checked(server.logconfig)} if server.logconfig else {"logconfig_dict": log_config}),
        "backlog": server.backlog,
        "max_requests": server.limit_max_requests,
        "max_requests_jitter": server.max_requests_jitter,
        "graceful_timeout": server.graceful_timeout + END_SECONDS,
        "keepalive": server.keep_alive,
        "reload": server.reload,
        "post_fork": lambda _, __: _trace(),
        "worker_exit": lambda _, __: tracing.stop(SPAN_SECONDS),
        "child_exit": lambda arbiter, _: _merge_counters(arbiter.WORKERS),
        "worker_int": lambda worker: worker.handle_exit(signal.SIGINT, None),  # the reloader calls this
        # Loaded once, before the workers: a broken model stops the start, and a file that breaks later does no harm.
        "preload_app": not server.reload,
        "control_socket_disable": True,  # nothing uses it, and it is open by default
    }


def _merge_counters(alive: Collection[int]) -> None:
    """Merge the counters of ended workers: each replaced worker would leave a file."""
    if (folder := os.environ.get("METRICS_FOLDER")) is not None:
        with contextlib.suppress(OSError):  # such as a full disk: try again the next time
            CounterFolder(Path(folder)).merge(alive)


def _trace() -> None:
    if tracing.is_wanted(os.environ):
        tracing.start()


def _checked(logconfig: Path) -> str:
    try:
        logging.config.fileConfig(logconfig, disable_existing_loggers=False)
    except Exception as error:  # noqa: BLE001 - the parts that the file names may raise anything
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SettingsError(f"LOGCONFIG={str(logconfig)!r}: expected a logging configuration; {cause}") from None
    return str(logconfig)


def _worker_class(name: str) -> type[Any]:
    try:
        worker_class: type[Any] = load_class(name)
    except (RuntimeError, AttributeError):
        raise SettingsError(f"UVICORN_WORKER={name!r}: no worker class of that name can be imported") from None
    if not (isinstance(worker_class, type) and issubclass(worker_class, UvicornWorker | ASGIWorker)):
        raise SettingsError(f"UVICORN_WORKER={name!r}: expected a worker class for ASGI, of Uvicorn's or Gunicorn's")
    return worker_class


def _listen(server: ServerSettings) -> int:
    """Open the port here: if it is in use, Gunicorn would try for 5 seconds and log 15 lines."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    is_both = server.host == "::" and socket.has_dualstack_ipv6()  # every address, also of IPv4
    try:
        listener = socket.create_server(
            (server.host, server.port), family=family, backlog=server.backlog, dualstack_ipv6=is_both
        )
    except OSError as error:
        where = f"HOST={server.host!r} PORT={server.port}"
        cause = (error.strerror or str(error)).partition(" (")[0]  # without Python's copy of the address
        raise SettingsError(f"{where}: can't listen there ({cause}); choose another") from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
    return listener.detach()


if __name__ == "__main__":
    main()
