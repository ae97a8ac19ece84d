"""The log of the local server: JSON, one access line a request, and nothing of what was asked or answered."""

import json
import logging
import re
from pathlib import Path

import pytest

from function.observability import logs
from function.observability.access import _json_line
from tests.integration.test_attacks import read_all
from tests.support.entry_points import LocalServer

SENTINEL = 4.2424242
IDS = ["a b", "x" * 10_000, "é", "a;b", "a\tb", "good-1"]


def test_no_caller_writes_into_the_log(tmp_path: Path) -> None:
    """By a path, an id or a value."""
    with LocalServer.start(tmp_path / "log", METRICS="EMF") as server:
        with server.client() as client:
            for request_id in IDS:
                client.get("/health", headers={b"x-request-id": request_id.encode()})
            for path in ("/a%0aforged", "/%00", "/%ff", "/" + "a" * 5000, "/caf%C3%A9", "/%22%7D"):
                client.get(path)
            answers = [
                client.post(route, json={"data": [[SENTINEL, 3.5, 1.4, 0.2]]})
                for route in ("/predict", "/predict/label", "/predict/batch")
            ]
            client.post("/predict", json={"data": [[SENTINEL, "secret", 1.4, 0.2]]})
            tensor = {"name": "features", "shape": [1, 4], "datatype": "FP32", "data": [SENTINEL, 3.5, 1.4, 0.2]}
            client.post("/v2/models/iris_svc/infer", json={"inputs": [tensor], "id": "secret"})
        raw = read_all(server, b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: a\x0bb\r\n\r\n")
        assert raw.startswith(b"HTTP/1.1 ")
        lines = [json.loads(line) for line in server.log().splitlines()]

    access = [line for line in lines if line["logger"] == "access"]
    n_raw = int(raw.startswith(b"HTTP/1.1 200"))
    assert len(access) == len(IDS) + 6 + 3 + 2 + n_raw
    assert len({line["request_id"] for line in access}) == len(access)
    assert [line["request_id"] for line in access if line["request_id"] in IDS] == ["good-1"]
    log = json.dumps(lines)
    assert "4.2424" not in log
    assert "secret" not in log
    for probability in answers[0].json()["prediction"]:
        assert str(probability)[:7] not in log


@pytest.mark.parametrize("text", ["plain", 'a "quote"\n', "caf\u00e9", "\ud800", "\x00"])
def test_every_text_fits_into_a_line(text: str) -> None:
    """Of ASCII, whatever encoding standard output has."""
    fields = {"name": "a", "levelname": "INFO", "msg": text, "more": {1: text}, "when": Path("x")}

    line = logs.handler("JSON").format(logging.makeLogRecord(fields))

    assert line.isascii()
    assert "\n" not in line
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", found.pop("timestamp"))
    assert found == {"level": "INFO", "logger": "a", "message": text, "more": {"1": text}, "when": "x"}


def test_a_traceback_is_a_field_of_its_line() -> None:
    """With its line breaks."""
    try:
        int("why")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "x", "exc_info": (type(error), error, error.__traceback__)})

    found = json.loads(logs.handler("JSON").format(record))

    assert found["exc_info"].startswith("Traceback (most recent call last):\n")
    assert found["exc_info"].endswith(": 'why'")


def test_a_label_that_orjson_refuses_costs_no_line() -> None:
    """A lone surrogate is written as JSON has it."""
    line = _json_line("x", {"labels": {"\ud800": 1}}, "mine")

    assert json.loads(line)["labels"] == {"\ud800": 1}
    assert line.isascii()
