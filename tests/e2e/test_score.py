"""`python -m model score` on a million rows, killed in the midst of them, and on S3."""

import gzip
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx2
import numpy as np
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import parquet
from starlette.testclient import TestClient

from tests.integration.test_score import ANSWERS, IRIS, NAMES, ask, hold, iris_table, score
from tests.support.command import run
from tests.support.entry_points import ROOT


def test_a_million_rows_get_the_answers_of_predict_batch_to_the_bit(tmp_path: Path, client: TestClient) -> None:
    """In the order of the rows, and beside all columns that the file has."""
    table = iris_table(1_000_000)
    parquet.write_table(table, tmp_path / "in.parquet")

    output = score(IRIS, tmp_path / "in.parquet", tmp_path / "out.parquet")

    assert re.fullmatch(
        rf"{tmp_path}/out.parquet: 1,000,000 of 1,000,000 rows answered in [\d.]+ s, [\d,]+ rows/s\n", output
    )
    found = parquet.read_table(tmp_path / "out.parquet")
    assert found.schema.names == [*NAMES, *ANSWERS]
    assert found.select(NAMES).equals(table)
    hold(tmp_path / "out.parquet", *ask(client, np.stack([table[name] for name in NAMES], axis=1).tolist()))


@pytest.mark.parametrize("target", ["out.parquet", "out.csv", "out.jsonl"])
def test_a_run_that_is_killed_goes_on_at_the_last_whole_part(target: str, tmp_path: Path) -> None:
    """kill -9, twice; the output is the same as of a run that nobody ended, and so are the errors."""
    rows = iris_table(800_000).to_pandas()
    rows.loc[::20_000, NAMES[1]] = np.nan
    parquet.write_table(pa.Table.from_pandas(rows, preserve_index=False), tmp_path / "in.parquet")
    command = [sys.executable, "-m", "model", "score", str(IRIS), str(tmp_path / "in.parquet")]
    whole = run("score", IRIS, tmp_path / "in.parquet", tmp_path / f"whole{Path(target).suffix}")
    journal = tmp_path / f"{target}.journal"

    for n_parts in (1, 4):
        killed = subprocess.Popen([*command, str(tmp_path / target), "--resume"], cwd=ROOT, stderr=subprocess.DEVNULL)
        wait_for_parts(journal, n_parts, killed)
        killed.send_signal(signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
        assert not (tmp_path / target).exists()
    with journal.open("a") as file:
        file.write('{"progress": [0,')  # a line that a kill has cut off
    with (tmp_path / f"{target}.partial").open("ab") as file:
        file.write(b"half a part")
    result = run("score", IRIS, tmp_path / "in.parquet", tmp_path / target, "--resume")

    assert result.returncode == whole.returncode == 2
    assert re.search(
        r"799,960 of 800,000 rows answered in .*/s, [\d,]+ of them by the run before; .* the other 40", result.stdout
    ), result
    assert read_bytes(tmp_path / target) == read_bytes(tmp_path / f"whole{Path(target).suffix}")
    assert (tmp_path / "out.errors.jsonl").read_bytes() == (tmp_path / "whole.errors.jsonl").read_bytes()
    left = {path.name for path in tmp_path.iterdir() if "whole" not in path.name}
    assert left == {"in.parquet", "out.errors.jsonl", target}


def read_bytes(path: Path) -> bytes | pa.Table:
    return parquet.read_table(path) if path.suffix == ".parquet" else path.read_bytes()


def wait_for_parts(journal: Path, n_parts: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 500  # on a busy machine
    while not (journal.exists() and journal.read_text().count("\n") > n_parts):
        assert process.poll() is None, "it has ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """S3's own protocol, by moto's server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "eu-central-1",
                        "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    httpx2.post(f"http://{host}:{port}/moto-api/reset")
    client = boto3.client("s3")
    client.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield client
    server.stop()


def test_s3(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A glob of objects is read, and the output and its errors are objects, which appear whole."""
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        content = "".join(f"{number},5.1,3.5,1.4,{'' if line == 7 else '0.2'}\n" for line in range(1000))
        bucket.put_object(Bucket="data", Key=f"in/{number}.csv", Body=f"id,{','.join(NAMES)}\n{content}".encode())
    bucket.put_object(
        Bucket="data", Key="in/more/2.csv.gz", Body=gzip.compress(f"id,{','.join(NAMES)}\n2,1,1,1,1\n".encode())
    )

    result = run("score", IRIS, "s3://data/in/*.csv", "s3://data/out/all.csv", "--keep", "id")
    folder = run("score", IRIS, "s3://data/in", tmp_path / "folder.parquet")

    assert (result.returncode, folder.returncode) == (2, 2), result.stderr
    lines = bucket.get_object(Bucket="data", Key="out/all.csv")["Body"].read().decode().splitlines()
    assert (len(lines), lines[1]) == (1999, "0,setosa,0.974183,0.024898142,0.00091884134")
    again = run("score", IRIS, "s3://data/in/*.csv", "s3://data/out/all.csv")
    assert again.stderr.startswith(
        "FileError: s3://data/out/all.csv: the last name is the output, and this file exists"
    )
    errors = bucket.get_object(Bucket="data", Key="out/all.errors.jsonl")["Body"].read().splitlines()
    assert [json.loads(line)["file"] for line in errors] == ["s3://data/in/0.csv", "s3://data/in/1.csv"]
    assert [json.loads(line)["line"] for line in errors] == [9, 9]
    assert parquet.read_table(tmp_path / "folder.parquet").num_rows == 1999
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.errors.jsonl", "folder.parquet"]


def test_a_bucket_that_isnt_there_is_one_line(bucket: Any) -> None:
    """With what S3 says."""
    result = run("score", IRIS, "s3://none/in.csv", "out.csv")

    assert result.returncode == 1
    assert result.stderr == "FileError: s3://none/in.csv: there is no such file\n"
