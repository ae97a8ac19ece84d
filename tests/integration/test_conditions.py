"""Conditions of a host: disks, descriptors, streams, cores, addresses, a master or a collector that is gone."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from function.server.cores import count_cores
from tests.support.calls import ROW
from tests.support.entry_points import ROOT, LocalServer, free_port, is_running, unmeasured

LABELS = '{"0": "größe", "1": "b", "2": "c"}'


def under(command: str) -> tuple[str, ...]:
    """Run a shell command, then the server in its place."""
    return ("sh", "-ec", f'{command}; exec "$@"', "sh")


def in_mounts_of_its_own(command: str) -> tuple[str, ...]:
    """The same where the command may mount what it likes, which nobody else sees."""
    own = ("unshare", "--user", "--map-root-user", "--mount")
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    return (*own, *under(command))


def read_only(*folders: str) -> str:
    mounts = [f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}" for folder in folders]
    return " && ".join([*mounts, "cd /proc"])


def run(*condition: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [*condition, sys.executable, str(ROOT / "local_server.py")]
    return subprocess.run(
        command, env=unmeasured() | {"PORT": "0"} | environ, capture_output=True, text=True, timeout=20, check=False
    )


def wait_until_gone(pid: int, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while is_running(pid):
        assert time.monotonic() < end, f"{pid} is still there after {seconds} s"
        time.sleep(0.02)


class TestCounters:
    def test_a_full_disk_loses_counts_and_no_request(self, tmp_path: Path) -> None:
        """Nor a worker, nor one that starts meanwhile; a line says so, and the counts come when there is space."""
        folder = tmp_path / "counters"
        folder.mkdir()
        disk = in_mounts_of_its_own(f"mount -t tmpfs -o size=64k none {folder}")
        with LocalServer.start(tmp_path / "log", *disk, METRICS_FOLDER=str(folder)) as server:
            filling = Path(f"/proc/{server.process.pid}/root{folder}/filling")
            with contextlib.suppress(OSError), filling.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
            (pid,) = server.worker_pids
            with server.client() as client:
                assert {client.post("/predict", content=ROW).status_code for _ in range(2000)} == {200}
                server.wait_for(lambda log: "can't share its counters at the moment: No space left on device" in log)
                assert is_running(pid)
                filling.unlink()
                assert 'route="/predict",status="200"} 2000.0' in client.get("/metrics").text
            os.kill(pid, signal.SIGKILL)
            server.wait_for(lambda _: len(server.worker_pids) == 2)
            with server.client() as client:
                answer = client.get("/metrics").text
        assert 'route="/predict",status="200"} 2000.0' in answer
        assert server.log().count("can't share its counters") == 1

    def test_renewed_workers_leave_one_file(self, tmp_path: Path) -> None:
        """Of each that has ended, its counts."""
        with LocalServer.start(tmp_path / "log", TMPDIR=str(tmp_path), LIMIT_MAX_REQUESTS="1") as server:
            n_answered = 0
            while len(server.worker_pids) < 6:
                with contextlib.suppress(httpx2.TransportError), server.client() as client:
                    n_answered += client.get("/health").status_code == 200
            (folder,) = tmp_path.glob("web-single-*")
            *ended, _ = sorted(server.worker_pids)
            for pid in ended:
                wait_until_gone(pid)
            server.wait_for(lambda _: not [pid for pid in ended[:-1] if list(folder.glob(f"{pid}-*"))])
            n_files = len(list(folder.iterdir()))
            with server.client() as client:
                text = client.get("/metrics").text
        assert n_files <= 3  # theirs together, the last one's, and the living one's
        (counted,) = (
            line.split()[-1] for line in text.splitlines() if "requests_total" in line and '"/health"' in line
        )
        assert float(counted) >= n_answered


class TestMaster:
    def test_workers_end_with_their_master(self, tmp_path: Path) -> None:
        """After a kill it can't tell them; a new start can take the port, and nothing is left in the temporary folder."""
        port = str(free_port())
        with LocalServer.start(tmp_path / "log", WORKERS="2", PORT=port, TMPDIR=str(tmp_path)) as server:
            address = urlsplit(server.url)
            with (
                httpx2.Client(base_url=server.url) as client,
                socket.create_connection((address.hostname, address.port)) as stuck,
            ):
                client.get("/health")  # over a connection that stays open
                stuck.sendall(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n")
                pids = server.worker_pids
                server.process.kill()
                server.process.wait()
                for pid in pids:
                    wait_until_gone(pid)
            assert server.log().count("the master is gone, so this worker stops") == 2
            assert not list(tmp_path.glob("web-single-*"))
            with LocalServer.start(tmp_path / "log2", PORT=port) as again, again.client() as client:
                assert client.get("/health").status_code == 200

    @pytest.mark.parametrize(
        "path", ["/v2/health/ready", "/v2/models/iris_svc/ready", "/v2/models/iris_svc/versions/1/ready"]
    )
    def test_before_the_end_it_isn_t_ready(self, tmp_path: Path, path: str) -> None:
        """SHUTDOWN_DELAY: at SIGTERM readiness says no, new connections are taken, all else is answered as usual."""
        with LocalServer.start(tmp_path / "log", WORKERS="2", SHUTDOWN_DELAY="3600") as server:
            with server.client() as client:
                before = client.get(path)
            server.process.terminate()
            server.wait_for(lambda log: "No longer ready; still answering for 3600 s" in log)
            end = time.monotonic() + 20
            while (answer := httpx2.get(server.url + path)).status_code != 503:  # each worker looks ten times a second
                assert time.monotonic() < end
            for _ in range(10):
                assert httpx2.get(f"{server.url}/health").status_code == 200
                assert httpx2.post(f"{server.url}/predict", content=ROW).status_code == 200
            os.kill(min(server.worker_pids), signal.SIGKILL)  # its successor isn't ready either
            server.wait_for(lambda _: len(server.worker_pids) == 3)
            server.process.terminate()
            assert server.process.wait(timeout=10) == 0

        assert (before.status_code, before.json()["ready"]) == (200, True)
        assert answer.json() == before.json() | {"ready": False}

    def test_the_delay_ends(self, tmp_path: Path) -> None:
        """By itself."""
        with LocalServer.start(tmp_path / "log", SHUTDOWN_DELAY="1") as server:
            started = time.monotonic()
            server.process.terminate()
            assert server.process.wait(timeout=20) == 0
            assert time.monotonic() - started >= 0.9


def test_a_collector_out_of_reach_doesn_t_hold_up_the_end(tmp_path: Path) -> None:
    """One that takes the connection and never answers: OpenTelemetry alone would wait for 10 s."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        with LocalServer.start(tmp_path / "log", **environ) as server:
            with server.client() as client:
                assert client.get("/health").status_code == 200
            server.process.terminate()
            assert server.process.wait(timeout=8) == 0

    assert "Traceback" not in server.log()
    assert "SIGKILL" not in server.log()


class TestCores:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        for folder in ("proc/self", "sys/fs/cgroup/a/b", "sys/fs/cgroup/cpu/a/b"):
            (tmp_path / folder).mkdir(parents=True)
        return tmp_path

    @pytest.fixture
    def many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine of 64 cores."""
        for name in ("cpu_count", "process_cpu_count"):
            monkeypatch.setattr(os, name, lambda: 64, raising=False)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)

    @pytest.mark.usefixtures("many")
    @pytest.mark.parametrize(
        ("group", "place", "limit", "n_cores"),
        [
            ("/", "", "100000 100000", 1),
            ("/", "", "max 100000", 64),
            ("/a/b", "a/b", "250000 100000", 3),
            ("/a/b", "a", "50000 100000", 1),
            ("/not/seen/from/here", "", "200000 100000", 2),
            ("/a/b", "a/b", "", 64),
            ("/a/b", "a/b", "no number", 64),
        ],
    )
    def test_a_control_group_of_version_2(self, root: Path, group: str, place: str, limit: str, n_cores: int) -> None:
        """Its own limit, or that of one around it; a part of a core is a core."""
        (root / "proc/self/cgroup").write_text(f"0::{group}\n")
        (root / "sys/fs/cgroup" / place / "cpu.max").write_text(f"{limit}\n")

        assert count_cores(root) == n_cores

    @pytest.mark.usefixtures("many")
    @pytest.mark.parametrize(("quota", "n_cores"), [("-1", 64), ("150000", 2), ("0", 64)])
    def test_a_control_group_of_version_1(self, root: Path, quota: str, n_cores: int) -> None:
        """Among those of other controllers."""
        (root / "proc/self/cgroup").write_text("9:memory:/x\n1:cpu,cpuacct:/a/b\n0::/\n")
        (root / "sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us").write_text(quota)
        (root / "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us").write_text("100000")

        assert count_cores(root) == n_cores

    @pytest.mark.usefixtures("many")
    def test_no_control_groups(self, tmp_path: Path) -> None:
        """As on macOS."""
        assert count_cores(tmp_path) == 64

    @pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
    def test_an_affinity(self, tmp_path: Path) -> None:
        """`taskset -c 0` gets one worker."""
        core = min(os.sched_getaffinity(0))
        pin = (
            sys.executable,
            "-c",
            f"import os, sys; os.sched_setaffinity(0, [{core}]); os.execv(sys.argv[1], sys.argv[1:])",
        )

        with LocalServer.start(tmp_path / "log", *pin, WORKERS="") as server, server.client() as client:
            assert client.get("/health").status_code == 200
            time.sleep(0.2)  # a second one would have started
            assert len(server.worker_pids) == 1


class TestFiles:
    def test_few_descriptors_are_enough(self, tmp_path: Path) -> None:
        """`ulimit -n 64`: it starts, serves, and goes on when more have come than fit."""
        with LocalServer.start(tmp_path / "log", *under("ulimit -n 64"), WORKERS="2") as server:
            address = urlsplit(server.url)
            with contextlib.ExitStack() as stack:
                for _ in range(150):
                    stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=10))
                server.wait_for(lambda log: "can't accept a connection: Too many open files" in log)
            with server.client() as client:
                assert client.post("/predict", content=ROW).status_code == 200
                assert "web_single_requests_total" in client.get("/metrics").text
        assert "Traceback" not in server.log()

    def test_too_few_are_refused(self) -> None:
        """One line in place of workers that start again and again."""
        result = run(*under("ulimit -n 16"))

        line = "SettingsError: ulimit -n: expected at least 32 open files, got 16\n"
        assert (result.returncode, result.stdout, result.stderr) == (1, "", line)

    def test_a_container_that_may_write_nowhere(self, tmp_path: Path) -> None:
        """Its shared memory will do."""
        condition = in_mounts_of_its_own(read_only("/tmp", "/var/tmp"))  # noqa: S108 - the folders themselves
        with LocalServer.start(tmp_path / "log", *condition) as server, server.client() as client:
            assert client.post("/predict", content=ROW).status_code == 200
            assert client.get("/metrics").status_code == 200

    def test_no_temporary_folder_at_all(self) -> None:
        """One line."""
        result = run(*in_mounts_of_its_own(read_only("/tmp", "/var/tmp", "/dev/shm")))  # noqa: S108 - as above

        assert (result.returncode, result.stdout, result.stderr) == (
            1,
            "",
            "SettingsError: TMPDIR: expected a writable temporary folder, got none; /tmp and /dev/shm aren't writable either\n",
        )


class TestOutput:
    @pytest.mark.parametrize("format", ["TEXT", "JSON"])
    def test_one_that_takes_ascii_alone(self, tmp_path: Path, format: str) -> None:
        """A letter that it lacks is written by its number."""
        (tmp_path / "größe.json").write_text(LABELS)
        environ = {"LABEL_FILEPATH": str(tmp_path / "größe.json"), "LOG_FORMAT": format, "LOG_LABELS": "1"}
        with LocalServer.start(tmp_path / "log", PYTHONIOENCODING="ascii", **environ) as server:
            with server.client() as client:
                assert client.post("/predict/label", content=ROW).json() == {"prediction": "größe"}
            server.wait_for(lambda log: "/predict/label" in log)

        written = r"gr\xf6\xdfe" if format == "TEXT" else json.dumps("größe")[1:-1]
        assert server.log().count(written) >= 2
        assert "Traceback" not in server.log()

    @contextlib.contextmanager
    def serve(
        self, errors: Path, redirections: str = "", stdout: int = subprocess.DEVNULL
    ) -> Iterator[tuple[int, str]]:
        """Start a server that tells nobody its port; give its process id and its address."""
        command = [
            *under(f"exec {redirections}" if redirections else "true"),
            sys.executable,
            str(ROOT / "local_server.py"),
        ]
        port = free_port()
        environ = os.environ | {"PORT": str(port), "WORKERS": "1", "LOG_FORMAT": "TEXT"}
        with errors.open("wb") as file:
            process = subprocess.Popen(command, env=environ, stdout=stdout, stderr=file)
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + 20
        try:
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    httpx2.get(f"{url}/health")
                    break
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
            yield process.pid, url
        finally:
            process.terminate()
            status = process.wait(timeout=20)
        assert status == 0

    def test_one_that_is_full(self, tmp_path: Path) -> None:
        """Lines are lost, and nothing else is said."""
        with self.serve(tmp_path / "errors", ">/dev/full") as (_, url):
            assert httpx2.post(f"{url}/predict", content=ROW).status_code == 200

        assert (tmp_path / "errors").read_text() == ""

    def test_one_that_nobody_reads_any_more(self, tmp_path: Path) -> None:
        """As after `| head`."""
        reading, writing = os.pipe()
        os.close(reading)
        try:
            with self.serve(tmp_path / "errors", stdout=writing) as (_, url):
                assert httpx2.post(f"{url}/predict", content=ROW).status_code == 200
        finally:
            os.close(writing)

        assert (tmp_path / "errors").read_text() == ""

    def test_streams_that_are_closed(self, tmp_path: Path) -> None:
        """No connection gets their numbers, so nobody prints into it."""
        with self.serve(tmp_path / "errors", "<&- >&- 2>&-") as (pid, url):
            assert httpx2.post(f"{url}/predict", content=ROW).status_code == 200
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for process in (pid, *children):
                assert {os.readlink(f"/proc/{process}/fd/{number}") for number in range(3)} == {os.devnull}  # noqa: PTH115


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_every_address_of_both_versions(tmp_path: Path) -> None:
    """`HOST=::`, as Kubernetes' dual-stack clusters want it."""
    port = free_port()
    with LocalServer.start(tmp_path / "log", HOST="::", PORT=str(port)):
        for host in ("127.0.0.1", "[::1]"):
            assert httpx2.get(f"http://{host}:{port}/health").status_code == 200
