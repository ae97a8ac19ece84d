"""What a request measured: for Prometheus over all workers, for CloudWatch in the access line."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from function.app import create_app
from function.classifier import Classifier
from function.metrics import Embedded, Gauge, Inference
from function.settings import Settings
from tests.doors import LocalServer
from tests.protocol import INFER, INPUT, request
from tests.test_models import penguins

ROWS = {"data": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5], [9.9, 3.3, 6.0, 2.5]]}  # the last is out of all ranges


def read(text: str) -> dict[str, float]:
    """Sample -> value."""
    return {name: float(value) for name, value in re.findall(r"^(\w+(?:{.*})?) (\S+)$", text, re.MULTILINE)}


def asked_by_grafana() -> set[str]:
    """The series that grafana.json's panels ask for."""
    panels = json.loads(Path("grafana.json").read_text())["panels"]
    names = re.findall(r"web_single_\w+", " ".join(target["expr"] for panel in panels for target in panel["targets"]))
    assert len(set(names)) == 6
    return set(names)


class TestPrometheus:
    def test_the_workers_are_summed_up(self, tmp_path: Path) -> None:
        """Whichever of them answers."""
        with LocalServer.start(tmp_path / "log", WORKERS="2") as server:
            for _ in range(20):
                with server.client() as client:  # a connection each: both workers get some
                    assert client.post("/predict/batch", json=ROWS).status_code == 200
            with server.client() as client:
                client.post("/predict", json={})
                client.get("/no/such/path")
                client.post(INFER, content=request(INPUT))
                answer = client.get("/metrics")
            assert asked_by_grafana() <= set(re.findall(r"^(\w+)", answer.text, re.MULTILINE))
            folder = self.folder(server)
            pids = {path.stem.rpartition("_")[2] for path in folder.glob("*.db")}

        found = read(answer.text)
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert found['web_single_requests_total{route="/predict/batch",status="200"}'] == 20
        assert found['web_single_requests_total{route="/predict",status="422"}'] == 1
        assert found['web_single_requests_total{route="none",status="404"}'] == 1
        assert found["web_single_rows_total"] == 62
        assert found["web_single_rows_outside_total"] == 20
        assert found['web_single_predictions_total{label="setosa"}'] == 21
        assert found['web_single_predictions_total{label="virginica"}'] == 41
        assert 0 < found["web_single_inference_seconds_total"] < 10
        assert found['web_single_request_seconds_count{route="/predict/batch"}'] == 20
        assert len(pids) >= 2
        assert not folder.exists()

    def folder(self, server: LocalServer) -> Path:
        (folder,) = {
            Path(line.split()[-1]).parent
            for line in Path(f"/proc/{min(server.worker_pids)}/maps").read_text().splitlines()
            if line.endswith(".db")
        }
        return folder

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


class TestEmbedded:
    @pytest.fixture
    def lines(self, classifier: Classifier, caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
        caplog.set_level(logging.INFO)
        client = TestClient(create_app(Settings.load({"METRICS": "EMF"}), classifier))
        client.post("/predict/batch", json=ROWS)
        client.get("/health")
        client.post("/predict", json={})
        return [record.__dict__ for record in caplog.records if record.name == "access"]

    def test_every_metric_is_declared_and_there(self, lines: list[dict[str, Any]]) -> None:
        """As CloudWatch wants it."""
        for line in lines:
            (directive,) = line["embedded_metrics"]["CloudWatchMetrics"]
            assert all(isinstance(line[metric["Name"]], int | float) for metric in directive["Metrics"])
            assert all(dimension in line for dimension in directive["Dimensions"][0])

    def test_what_they_say(self, lines: list[dict[str, Any]]) -> None:
        """Of inferences what the model did, of errors their class, of the first that it was cold."""
        batch, health, error = lines
        assert [line["cold_start"] for line in lines] == [1, 0, 0]
        assert [line["errors_4xx"] for line in lines] == [0, 0, 1]
        assert [line["route"] for line in lines] == ["/predict/batch", "/health", "/predict"]
        assert (batch["rows"], batch["rows_outside"], batch["predicted_virginica"]) == (3, 1, 2)
        assert 0 < batch["inference_milliseconds"] < batch["milliseconds"]
        assert "rows_outside" not in health
        assert "rows_outside" not in error


class TestGauge:
    def test_the_ends_of_a_range_are_in_it(self, classifier: Classifier) -> None:
        """In float32 too, which rounds 4.3 and 0.1."""
        gauge = Gauge(classifier)
        for edge in (0, 1):
            row = [(feature.min, feature.max)[edge] for feature in classifier.features]
            arrays = classifier.columns.arrays([row, [value + (1e-5, -1e-5)[1 - edge] * 2 for value in row]])  # type: ignore[operator, list-item]
            measured = gauge.measure(arrays, classifier.predict_arrays(arrays), 0)
            assert measured.rows_outside == 1

    def test_texts_have_no_range(self) -> None:
        """And a model without facts has none at all."""
        classifier = Classifier(penguins().artifact, name="penguins")
        arrays = classifier.columns.arrays([["Dream", 1e9, 0, 0, 0, "male", -5]])

        measured = Gauge(classifier).measure(arrays, classifier.predict_arrays(arrays), 0)

        assert measured.rows_outside == 0
        assert sum(measured.predictions.values()) == 1


def test_the_answers_labels_are_logged_where_a_setting_says_so(
    classifier: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    """With or without metrics; nowhere else."""
    caplog.set_level(logging.INFO)
    for environ in ({}, {"LOG_LABELS": "true"}, {"LOG_LABELS": "1", "METRICS": "EMF"}):
        client = TestClient(create_app(Settings.load(environ), classifier))
        client.post("/predict/batch", json=ROWS)
        client.post("/predict", json={})

    found = [record.__dict__.get("labels") for record in caplog.records if record.name == "access"]
    assert found == [None, None, *[{"setosa": 1, "virginica": 2}, None] * 2]
    messages = [record.getMessage() for record in caplog.records if record.name == "access"]
    assert [message.endswith(" ms setosa, virginica") for message in messages] == [*[False] * 2, *[True, False] * 2]


def test_of_many_labels_the_first_50_have_metrics(classifier: Classifier) -> None:
    """CloudWatch takes 100 a line."""
    named = object.__new__(Classifier)
    named.__dict__ |= classifier.__dict__ | {"labels": tuple(f"l{index}" for index in range(60))}

    line = Embedded(named).record("/predict", 200, 0.1, Inference(3, 0.1, 0, {"l1": 2, "l55": 1}))

    assert line["predicted_l1"] == 2
    assert sum(name.startswith("predicted_") for name in line) == 50
    assert "l55" not in str(line)


def test_the_local_door_alone_needs_prometheus() -> None:
    """It isn't in the Lambda package."""
    assert "prometheus" not in Path("function/requirements.txt").read_text()
    assert "prometheus-client" in Path("requirements.txt").read_text()
