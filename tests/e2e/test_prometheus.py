"""What a real Prometheus makes of /metrics: the dashboard's drift, and the rule that the documentation shows."""

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from function.classifier import Classifier
from function.observability.bins import Watch
from tests.support.entry_points import LocalServer, free_port

DRIFT = json.loads(Path("grafana.json").read_text())["panels"][-1]["targets"][0]["expr"]
CONFIG = """
global: {scrape_interval: 1s}
scrape_configs: [{job_name: web-single, static_configs: [{targets: ["ADDRESS"]}]}]
"""

pytestmark = pytest.mark.skipif(not shutil.which("prometheus"), reason="wants Prometheus (Debian's prometheus)")


@contextlib.contextmanager
def prometheus(address: str, folder: Path) -> Iterator[httpx2.Client]:
    """Let it ask an address each second."""
    (folder / "prometheus.yml").write_text(CONFIG.replace("ADDRESS", address))
    where = f"127.0.0.1:{free_port()}"
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command = ["prometheus", *options, f"--web.listen-address={where}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        with httpx2.Client(base_url=f"http://{where}") as client:
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(client: httpx2.Client, expression: str) -> list[Any]:
    """Give its answer once there is one."""
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(httpx2.TransportError):
            answer = client.get("/api/v1/query", params={"query": expression}).json()
            if answer.get("data", {}).get("result"):
                return list(answer["data"]["result"])
        assert time.monotonic() < end, expression
        time.sleep(0.2)


def test_the_dashboards_drift_is_the_index(iris: NDArray[np.float64], classifier: Classifier, tmp_path: Path) -> None:
    """Of each feature, over all workers: nothing for rows as they were, much for one that is shifted."""
    rows = np.concatenate([iris, iris])
    rows[:, 3] += iris[:, 3].std()
    with (
        LocalServer.start(tmp_path / "log", WORKERS="2") as server,
        prometheus(server.url.partition("//")[2], tmp_path) as client,
    ):
        ask(client, "web_single_feature_share")  # it has seen zeros
        for start in range(0, 300, 50):
            with server.client() as caller:  # a connection each: both workers get some
                batch = {"data": rows[start : start + 50].tolist()}
                assert caller.post("/predict/batch", json=batch).status_code == 200
        ask(client, "web_single_rows_total == 300")
        found = ask(client, DRIFT)

    watch = Watch(classifier.model)
    counts = watch.count([rows.astype(np.float32)])
    expected = watch.measure([counts.get(place, 0) for place in range(len(watch.names))])
    assert {series["metric"]["digest"] for series in found} == {classifier.model.sha256[:12]}
    names = [bins.feature for bins in watch.bins]
    assert {series["metric"]["feature"]: float(series["value"][1]) for series in found} == pytest.approx(
        dict(zip(names, expected, strict=True)), abs=1e-6
    )
    assert max(expected[:3]) < 0.01
    assert expected[3] > 0.25


def test_the_documented_rule_is_one(tmp_path: Path) -> None:
    """Of the dashboard's own expression, as promtool reads it."""
    (rules,) = re.findall(r"^```yaml\n(groups:.*?)^```$", Path("docs/operate.md").read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "rules.yml"
    path.write_text(rules)

    result = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "SUCCESS: 2 rules found" in result.stdout
    assert f"expr: {DRIFT}\n" in rules
