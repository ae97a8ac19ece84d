"""What a request measured: for Prometheus over all workers, for CloudWatch in the access line."""

import asyncio
import dataclasses
import json
import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import prometheus_client
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import Classifier, Prediction, load_bytes
from function.classifier.inputs import to_arrays
from function.observability import prometheus
from function.observability.counters import CounterFolder
from function.observability.emf import EMFRecorder
from function.observability.inference import Inference, InferenceObserver, Run
from function.observability.recorder import create_recorder
from function.settings import Settings
from tests.support.entry_points import AccessLines, LocalServer
from tests.support.kinds import GAPS, KINDS
from tests.support.models import penguins
from tests.support.protocol import INFER, INPUT, request

ROWS = {"data": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5], [9.9, 3.3, 6.0, 2.5]]}  # the last is out of all ranges


def read(text: str) -> dict[str, float]:
    """Sample, without its digest -> value."""
    samples = re.findall(r"^(\w+(?:{.*})?) (\S+)$", re.sub(r'digest="[0-9a-f]{12}",?', "", text), re.MULTILINE)
    return {name.replace("{}", ""): float(value) for name, value in samples}


def run_apart(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it, and leave the thread the event loop that it has, as `asyncio.run` doesn't."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(coroutine)


def asked_by_grafana() -> set[str]:
    """The series that grafana.json's panels ask for."""
    panels = json.loads(Path("grafana.json").read_text())["panels"]
    names = re.findall(r"web_single_\w+", " ".join(target["expr"] for panel in panels for target in panel["targets"]))
    assert len(set(names)) == 8
    return set(names)


class TestPrometheus:
    def test_the_workers_are_summed_up(self, tmp_path: Path) -> None:
        """Whichever of them answers."""
        with LocalServer.start(tmp_path / "log", WORKERS="2", TMPDIR=str(tmp_path)) as server:
            for _ in range(20):
                with server.client() as client:  # a connection each: both workers get some
                    assert client.post("/predict/batch", json=ROWS).status_code == 200
            with server.client() as client:
                client.post("/predict", json={})
                client.get("/no/such/path")
                client.get("/openapi.json")
                client.post(INFER, content=request(INPUT))
            answer = self.wait_for_metrics(server, 24)
            assert asked_by_grafana() <= set(re.findall(r"^(\w+)", answer.text, re.MULTILINE))
            (folder,) = tmp_path.glob("web-single-*")
            pids = {int(path.name.partition("-")[0]) for path in folder.glob("*.json")}

        found = read(answer.text)
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert found['web_single_requests_total{route="/predict/batch",status="200"}'] == 20
        assert found['web_single_requests_total{route="/predict",status="422"}'] == 1
        assert found['web_single_requests_total{route="none",status="404"}'] == 1
        assert found['web_single_requests_total{route="/openapi.json",status="200"}'] == 1
        assert found["web_single_rows_total"] == 62
        assert found["web_single_rows_outside_total"] == 20
        assert found['web_single_predictions_total{label="setosa"}'] == 21
        assert found['web_single_predictions_total{label="virginica"}'] == 41
        assert 0 < found["web_single_inference_seconds_total"] < 10
        assert found['web_single_request_seconds_count{route="/predict/batch"}'] == 20
        assert pids
        assert pids <= server.worker_pids
        assert not folder.exists()

    def wait_for_metrics(self, server: LocalServer, n_requests: int, seconds: float = 10) -> httpx2.Response:
        """Ask until the counters are there: those of the other workers are up to a second late."""
        end = time.monotonic() + seconds
        while True:
            with server.client() as client:
                answer = client.get("/metrics")
            counts = {name: n for name, n in read(answer.text).items() if name.startswith("web_single_requests_total")}
            n_counted = sum(n for name, n in counts.items() if '"/metrics"' not in name)
            if n_counted >= n_requests or time.monotonic() > end:
                return answer
            time.sleep(0.1)

    @pytest.mark.parametrize("end", ["SIGHUP", "recycling"])
    def test_a_worker_that_ends_hands_its_counts_over(self, end: str, tmp_path: Path) -> None:
        """Before the regular second is over, so nothing is lost."""
        environ = {"LIMIT_MAX_REQUESTS": "5"} if end == "recycling" else {}
        with LocalServer.start(tmp_path / "log", **environ) as server:
            (before,) = server.worker_pids
            with server.client() as client:
                for _ in range(5):
                    assert client.post("/predict/batch", json=ROWS).status_code == 200
            if end == "SIGHUP":
                server.process.send_signal(signal.SIGHUP)
            server.wait_for(lambda log: f"Worker exiting (pid: {before})" in log or len(server.worker_pids) > 1)
            server.wait_for(lambda _: not Path(f"/proc/{before}").exists())
            found = read(self.wait_for_metrics(server, 5).text)

        assert found['web_single_requests_total{route="/predict/batch",status="200"}'] == 5
        assert found["web_single_rows_total"] == 15
        assert found["web_single_rows_outside_total"] == 5
        assert found['web_single_request_seconds_count{route="/predict/batch"}'] == 5

    @pytest.mark.parametrize("metrics", ["NONE", "EMF"])
    def test_it_can_be_left_out(self, metrics: str, tmp_path: Path) -> None:
        """METRICS."""
        with LocalServer.start(tmp_path / "log", METRICS=metrics) as server, server.client() as client:
            assert client.get("/metrics").status_code == 404
            assert client.post("/predict/batch", json=ROWS).status_code == 200
            assert ('"_aws"' in server.log()) is (metrics == "EMF")

    @pytest.mark.parametrize("metrics", ["", "prometheus"])
    def test_it_is_there_unless_said_otherwise(self, metrics: str, tmp_path: Path) -> None:
        """Empty is unset."""
        with LocalServer.start(tmp_path / "log", METRICS=metrics) as server, server.client() as client:
            assert client.get("/metrics").status_code == 200

    def test_a_key_guards_it(self, tmp_path: Path) -> None:
        """As any other route."""
        with LocalServer.start(tmp_path / "log", API_KEY_SHA256="0" * 64) as server, server.client() as client:
            assert client.get("/metrics").status_code == 401


class TestPrometheusRecorder:
    def test_it_counts_as_prometheus_client_does(self, classifier: Classifier) -> None:
        """Its own histogram and counter, fed the same."""
        registry = prometheus_client.CollectorRegistry()
        histogram = prometheus_client.Histogram(
            "web_single_request_seconds", "Time to answer", ["route"], registry=registry, buckets=prometheus.BUCKETS
        )
        counter = prometheus_client.Counter("web_single_requests", "Requests", ["route", "status"], registry=registry)
        recorder = create_recorder("PROMETHEUS", classifier.model, InferenceObserver(classifier))
        assert isinstance(recorder, prometheus.PrometheusRecorder)

        async def record() -> None:
            buckets = prometheus.BUCKETS
            for seconds in [0.0, *buckets, *(2 * bound for bound in buckets), 0.0007] * 100:
                recorder.record('/"', 200, seconds, None)
                histogram.labels('/"').observe(seconds)
                counter.labels('/"', "200").inc()

        run_apart(record())

        expected = re.sub(r"(?m)^.*_created.*\n", "", prometheus_client.generate_latest(registry).decode())
        text = recorder.read().decode()
        assert {name: pytest.approx(value, rel=1e-9) for name, value in read(expected).items()}.items() <= read(
            text
        ).items()
        assert set(re.findall("^# .*", expected, re.MULTILINE)) <= set(re.findall("^# .*", text, re.MULTILINE))

    def test_a_full_disk_is_told_once(
        self, classifier: Classifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """And what couldn't be shared comes with the first time that succeeds."""
        folder = tmp_path / "counters"
        folder.write_text("in the way")
        recorder, other = (
            prometheus.PrometheusRecorder(classifier.model, InferenceObserver(classifier), folder) for _ in "ab"
        )

        async def record() -> None:
            recorder.record("/health", 200, 0.1, None)
            recorder.hand_over()
            recorder.hand_over()

        run_apart(record())
        folder.unlink()
        recorder.hand_over()

        assert caplog.messages == ["this worker can't share its counters at the moment: File exists"]
        assert read(other.read().decode())['web_single_requests_total{route="/health",status="200"}'] == 1


class TestCounterFolder:
    KEY = ("requests", "/health", "200")

    def write_elsewhere(self, folder: Path, n: int) -> int:
        """Count in a process that ends, and give its id."""
        if not (child := os.fork()):
            CounterFolder(folder).write({self.KEY: [n]})
            os._exit(0)
        os.waitpid(child, 0)
        return child

    def test_files_of_processes_that_are_gone_become_one(self, tmp_path: Path) -> None:
        """Nothing is lost or counted twice, however many there have been."""
        counters = CounterFolder(tmp_path)
        for _ in range(150):
            self.write_elsewhere(tmp_path, 2)
            counters.merge(())
        alive = self.write_elsewhere(tmp_path, 1)
        counters.merge([alive])

        assert len(list(tmp_path.iterdir())) == 2
        assert counters.read({self.KEY: [5.0]}) == {self.KEY: [306.0]}

    def test_whoever_ends_while_somebody_reads_is_counted_once(self, tmp_path: Path) -> None:
        """Its file is still there although its sums were merged, as after a kill between the two steps."""
        self.write_elsewhere(tmp_path, 2)
        (path,) = tmp_path.iterdir()
        content = path.read_bytes()
        counters = CounterFolder(tmp_path)
        counters.merge(())
        path.write_bytes(content)

        assert counters.read({}) == {self.KEY: [2]}
        counters.merge(())
        assert counters.read({}) == {self.KEY: [2]}
        assert not path.exists()

    def test_a_folder_that_was_tidied_away_is_made_again(self, tmp_path: Path) -> None:
        """As systemd does with temporary files that are old."""
        CounterFolder(tmp_path / "counters").write({self.KEY: [1]})
        shutil.rmtree(tmp_path / "counters")
        CounterFolder(tmp_path / "counters").write({self.KEY: [3]})

        assert CounterFolder(tmp_path / "counters").read({}) == {self.KEY: [3]}


class TestEMF:
    @pytest.fixture
    def lines(self, classifier: Classifier, access_lines: AccessLines) -> list[dict[str, Any]]:
        client = TestClient(create_app(Settings.load({"METRICS": "EMF", "STACK_NAME": "iris-2"}), classifier))
        client.post("/predict/batch", json=ROWS)
        client.get("/health")
        client.post("/predict", json={})
        return access_lines()

    def test_every_metric_is_declared_and_there(self, lines: list[dict[str, Any]], classifier: Classifier) -> None:
        """As CloudWatch wants it, with the stack and the model's digest as dimensions."""
        for line in lines:
            for directive in line["_aws"]["CloudWatchMetrics"]:
                assert all(isinstance(line[metric["Name"]], int | float) for metric in directive["Metrics"])
                assert directive["Dimensions"] == [["stack", "model", "digest"]]
            assert (line["stack"], line["model"], line["digest"]) == (
                "iris-2",
                "iris_svc",
                classifier.model.sha256[:12],
            )

    def test_what_they_say(self, lines: list[dict[str, Any]]) -> None:
        """Of inferences what the model did, of errors their class, of the first that it was cold."""
        batch, health, error = lines
        assert [line["cold_start"] for line in lines] == [1, 0, 0]
        assert [line["errors_4xx"] for line in lines] == [0, 0, 1]
        assert [line["route"] for line in lines] == ["/predict/batch", "/health", "/predict"]
        assert (batch["rows"], batch["rows_outside"], batch["predicted_virginica"]) == (3, 1, 2)
        assert (batch["share_setosa"], batch["share_versicolor"]) == (pytest.approx(100 / 3), 0)
        assert batch["values_missing"] == 0
        assert 0 < batch["inference_milliseconds"] < batch["milliseconds"]
        assert "rows_outside" not in health
        assert "rows_outside" not in error


def measure(classifier: Classifier, rows: list[list[Any]], *, n_runs: int = 1) -> Inference:
    """Run the rows, and measure the run so many times at once."""
    arrays = to_arrays(classifier.model.columns, rows)
    run = Run(arrays, classifier.predict_arrays(arrays), 0.5)
    return InferenceObserver(classifier).measure([run] * n_runs)


class TestInferenceObserver:
    def test_the_ends_of_a_range_are_in_it(self, classifier: Classifier) -> None:
        """In float32 too, which rounds 4.3 and 0.1."""
        for edge in (0, 1):
            row = [(feature.min, feature.max)[edge] for feature in classifier.model.features]
            beyond = [value + (1e-5, -1e-5)[1 - edge] * 2 for value in row]  # type: ignore[operator]
            assert measure(classifier, [row, beyond]).n_rows_outside == 1
            assert measure(classifier, [row, beyond], n_runs=100).n_rows_outside == 100

    def test_many_runs_are_measured_as_each_alone(self, classifier: Classifier, iris: NDArray[np.float64]) -> None:
        """In one pass of NumPy, or value by value."""
        rows = [*iris[::10].tolist(), [9.9, 3.3, 6.0, 2.5]]

        together = measure(classifier, rows, n_runs=50)

        alone = [measure(classifier, [row]) for row in rows]
        assert (together.n_rows, together.seconds) == (50 * len(rows), 25)
        assert together.n_rows_outside == 50 * sum(found.n_rows_outside for found in alone) == 50
        counts = Counter[str]()
        for found in alone:
            counts.update(found.predictions)
        assert together.predictions == {label: 50 * count for label, count in counts.items()}

    @pytest.mark.parametrize("name", ["imputer", "texts", "half of the columns"])
    @pytest.mark.parametrize("n_runs", [1, 3])
    def test_missing_values_are_counted(self, name: str, n_runs: int) -> None:
        """Numbers and texts; none of them is outside of a range."""
        rows = GAPS[name]().kind.rows
        classifier = load_bytes(GAPS[name]().kind.artifact, name="gaps")

        found = measure(classifier, rows, n_runs=n_runs)

        assert found.n_missing == n_runs * sum(value is None for row in rows for value in row) > 0
        assert found.n_rows_outside == 0

    @pytest.mark.parametrize("n_runs", [1, 3])
    def test_labels_are_the_models_own(self, n_runs: int) -> None:
        """Not those of the highest probability."""
        kind = KINDS["threshold 0.1, int64"]()
        classifier = load_bytes(kind.artifact, name="fraud")

        found = measure(classifier, kind.rows, n_runs=n_runs)

        assert found.predictions == {label: n_runs * kind.labels.count(label) for label in ("0", "1")}

    def test_texts_have_no_range(self) -> None:
        """And a model without facts has none at all."""
        classifier = load_bytes(penguins().artifact, name="penguins")

        measured = measure(classifier, [["Dream", 1e9, 0, 0, 0, "male", -5]])

        assert measured.n_rows_outside == 0
        assert sum(measured.predictions.values()) == 1


def test_the_answers_labels_are_logged_where_a_setting_says_so(
    classifier: Classifier, access_lines: AccessLines
) -> None:
    """With or without metrics; nowhere else."""
    for environ in ({}, {"LOG_LABELS": "true"}, {"LOG_LABELS": "1", "METRICS": "EMF"}):
        client = TestClient(create_app(Settings.load(environ), classifier))
        client.post("/predict/batch", json=ROWS)
        client.post("/predict", json={})

    lines = access_lines()
    assert [line.get("labels") for line in lines] == [None, None, *[{"setosa": 1, "virginica": 2}, None] * 2]
    assert [line["message"].endswith(" ms setosa, virginica") for line in lines] == [*[False] * 2, *[True, False] * 2]


def test_of_many_labels_the_first_50_have_metrics(classifier: Classifier) -> None:
    """CloudWatch takes 100 a line."""
    model = dataclasses.replace(classifier.model, labels=tuple(f"l{index}" for index in range(60)))
    named = Classifier(classifier.session, model)
    probabilities = np.eye(60, dtype=np.float32)[[1, 1, 55]]
    run = Run(to_arrays(model.columns, [[5.1, 3.5, 1.4, 0.2]] * 3), Prediction(probabilities, None), 0.1)

    line = EMFRecorder(model, InferenceObserver(named), "stack").record("/predict", 200, 0.1, run)

    assert line["predicted_l1"] == 2
    for what in ("predicted_", "share_"):
        assert sum(name.startswith(what) for name in line) == 50
    assert all(len(directive["Metrics"]) <= 100 for directive in line["_aws"]["CloudWatchMetrics"])
    assert "l55" not in str(line)


def test_the_local_server_alone_needs_prometheus() -> None:
    """It isn't in the Lambda package."""
    assert "prometheus" not in Path("function/requirements.txt").read_text()
    assert "prometheus-client" in Path("requirements.txt").read_text()
