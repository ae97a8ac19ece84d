"""What `sam build` leaves: small, complete, the same each time, and run by AWS's runtime emulator as Lambda runs it."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from function.package import MAX_UNZIPPED_MB, MAX_ZIPPED_MB, PRUNED, PYTHON
from tests.integration.test_requirements import pins
from tests.support.calls import CALLS, EVENTS
from tests.support.emulator import Emulator
from tests.support.entry_points import (
    EVENT_FORMS,
    ROOT,
    Call,
    Event,
    LocalServer,
    answer_of,
    http_entry_point,
    in_base64,
    lambda_entry_point,
)
from tests.support.sam import ENVIRON, SAM, make_read_only

BUILD = [sys.executable, str(ROOT / "function" / "package.py")]


def digest(folder: Path) -> str:
    """Of all names, permissions and bytes."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(f"{path.relative_to(folder)} {path.stat().st_mode & 0o555:o}".encode())
        total.update(path.read_bytes() if path.is_file() else b"")
    return total.hexdigest()


def build(folder: Path, architecture: str = "x86_64", **environ: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    command = [*BUILD, str(folder), architecture]
    return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)


def test_it_holds_what_the_function_needs_and_nothing_else(package: Path) -> None:
    """No server, no test, no training; of the model the artifact and its labels."""
    found = {path.name for path in package.iterdir() if path.suffix != ".dist-info"}

    assert found == {
        "__pycache__", "annotated_doc", "annotated_types", "anyio", "fastapi", "function", "idna", "mangum", "model",
        "numpy", "numpy.libs", "onnxruntime", "opentelemetry", "orjson", "pydantic", "pydantic_core",
        "pythonjsonlogger", "starlette", "typing_extensions.py", "typing_inspection",
    }  # fmt: skip
    assert {path.name for path in (package / "model").iterdir()} == {
        "iris_svc.onnx",
        "iris_svc.onnx.sha256",
        "label.json",
    }
    for name in ("package.py", "scoring/start.py", "scoring/report.py"):
        assert not (package / "function" / name).exists()
    for pruned in PRUNED:
        assert not list(package.glob(pruned.pattern))


def test_every_module_is_compiled_for_lambdas_clock(package: Path, runtime: Path) -> None:
    """Each .py has its .pyc, of Lambda's Python, that is never checked against the time or the content of the source."""
    script = "import importlib.util; print(importlib.util.MAGIC_NUMBER.hex())"
    magic = subprocess.run([str(runtime), "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    sources = list(package.rglob("*.py"))
    tag = f"cpython-{PYTHON.replace('.', '')}"

    assert sources
    for source in sources:
        head = (source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc").read_bytes()[:8]
        assert head == bytes.fromhex(magic) + b"\x01\x00\x00\x00", source  # PEP 552: a hash, unchecked


def test_the_same_input_gives_the_same_bytes_within_the_budget(package: Path, tmp_path: Path) -> None:
    """Whichever folder, and whatever the environment says of Python; sizes and a SHA-256 are printed."""
    result = build(
        tmp_path / "again", PYTHONHASHSEED="1", PYTHONOPTIMIZE="2", PYTHONPYCACHEPREFIX=str(tmp_path / "elsewhere")
    )

    assert result.returncode == 0, result.stderr
    assert digest(tmp_path / "again") == digest(package)
    unzipped, zipped = re.findall(r"^ *([\d.]+) MB  (?:unzipped|zipped), of at most", result.stdout, re.MULTILINE)
    assert 50 < float(unzipped) <= MAX_UNZIPPED_MB
    assert 10 < float(zipped) <= MAX_ZIPPED_MB
    assert float(unzipped) == pytest.approx(
        sum(p.stat().st_size for p in package.rglob("*") if p.is_file()) / 1e6, abs=0.06
    )


def test_it_ships_the_model_that_it_is_told(runtime: Path, artifact: Path, event: Event, tmp_path: Path) -> None:
    """With its labels, under its own name, and not counted in the budget; the shipped model isn't packed."""
    mine = tmp_path / "mine" / "flowers.onnx"
    mine.parent.mkdir()
    large = onnx.load(artifact)
    large.doc_string = os.urandom(5_000_000).hex()
    onnx.save(large, mine)
    (mine.parent / "label.json").write_text('{"0": "a", "1": "b", "2": "c"}')

    result = build(tmp_path / "package", MODEL_FILEPATH=str(mine))

    assert result.returncode == 0, result.stderr
    assert {path.name for path in (tmp_path / "package" / "model").iterdir()} == {
        "flowers.onnx",
        "flowers.onnx.sha256",
        "label.json",
    }
    with Emulator.start(runtime, tmp_path / "package", tmp_path / "log") as emulator:
        assert answer_of(emulator.invoke(event("predict_label"))).json == {"prediction": "a"}
        assert answer_of(emulator.invoke(event("metadata"))).json["model"]["name"] == "flowers"


def test_it_builds_for_the_other_architecture(tmp_path: Path) -> None:
    """With its wheels alone; it can't be run here."""
    result = build(tmp_path / "arm64", "arm64")

    assert result.returncode == 0, result.stderr
    libraries = list((tmp_path / "arm64").rglob("*.so"))
    assert libraries
    for library in libraries:
        assert library.read_bytes()[18:20] == b"\xb7\x00", library  # ELF e_machine: EM_AARCH64


@pytest.mark.parametrize(
    ("architecture", "environ", "line"),
    [
        ("x86_64", {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull},
         r"package: the package index can't be reached; is there a network\?"),
        ("x86_64", {"PATH": "/nowhere", "PYENV_ROOT": "/nowhere"},
         r"package: expected python3\.13 to compile for Lambda, found none; `uv python install 3\.13` puts it on the PATH"),
        ("x86_64", {"MODEL_FILEPATH": "no.onnx"},
         r"package: no\.onnx: can't be read \(No such file or directory\); MODEL_FILEPATH names the model"),
    ],
    ids=["no network", "no Python 3.13", "no model"],
)  # fmt: skip
def test_a_build_that_cant_be_says_why(architecture: str, environ: dict[str, str], line: str, tmp_path: Path) -> None:
    """In one line, with status 1, and leaves nothing behind."""
    result = build(tmp_path / "refused", architecture, PIP_FIND_LINKS="", **environ)

    assert result.returncode == 1
    assert re.fullmatch(line + "\n", result.stderr)
    assert not list((tmp_path / "refused").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_build_that_is_ended_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    """One line again."""
    folder = tmp_path / "folder"
    process = subprocess.Popen([*BUILD, str(folder)], stderr=subprocess.PIPE, text=True)
    while not (folder / "function").exists():  # pip is done: its folders are there
        assert process.poll() is None
        time.sleep(0.01)

    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)

    assert (process.returncode, stderr) == (1, f"package: ended by {number.name}\n")
    assert not list(folder.iterdir())


def test_nobodys_files_are_touched(tmp_path: Path) -> None:
    """A folder that isn't empty stays as it is."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")

    result = subprocess.run([*BUILD, str(tmp_path / "folder")], capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (1, f"package: expected an empty folder, {tmp_path}/folder isn't\n")
    assert (tmp_path / "folder" / "notes.txt").read_text() == "mine"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project, to be changed."""
    folder = tmp_path / "copy"
    for name in ("function", "model"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("function/package.py", "MAX_ZIPPED_MB = 95, 32", "MAX_ZIPPED_MB = 95, 3",
         "package: expected a package of at most 95 MB, 3 MB zipped, got "),
        ("function/package.py", '"numpy/f2py"', '"numpy/f3py"',
         "package: expected numpy/f3py to leave out ("),
        ("function/requirements.txt", "orjson==", "orjson==0.",
         "package: no wheels for Python 3.13 on x86_64: No matching distribution found for orjson==0."),
        ("function/requirements.txt", "--hash=sha256:", "--hash=sha256:0000",
         "package: no wheels for Python 3.13 on x86_64: "),
    ],
    ids=["over budget", "nothing to leave out", "no such wheel", "wrong hash"],
)  # fmt: skip
def test_a_project_that_changed_wrongly_isnt_built(
    file: str, old: str, new: str, line: str, copy: Path, tmp_path: Path
) -> None:
    """One line again, and nothing left behind."""
    change(copy / file, old, new)
    folder = tmp_path / "folder"
    folder.mkdir()

    command = [sys.executable, str(copy / "function" / "package.py"), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1
    assert not list(folder.iterdir())


def test_sam_passes_the_reason_on(tmp_path: Path) -> None:
    """`sam build` fails with it, and leaves no half package."""
    build_dir = tmp_path / "build"
    (tmp_path / "make").symlink_to(shutil.which("make") or "")
    environ = ENVIRON | {"PATH": str(tmp_path), "PYENV_ROOT": "/nowhere"}
    command = [SAM, "build", "--build-dir", str(build_dir)]

    result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert "package: expected python3.13 to compile for Lambda, found none" in result.stderr
    assert not (build_dir / "template.yaml").exists()
    assert not list(build_dir.rglob("*.py"))


@pytest.mark.parametrize("target", ["build", "image", "deploy"])
def test_lambdas_python_is_looked_for_before_anything_is_installed(target: str, tmp_path: Path) -> None:
    """In a clone without .venv too."""
    for name in ("make", "sed", "grep", "test"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    environ = ENVIRON | {"PATH": str(tmp_path), "PYENV_ROOT": "/nowhere"}
    command = [
        "make",
        "--silent",
        target,
        f"PYTHON={sys.executable}",
        "ALLOW_ANONYMOUS=true",
        "--what-if=tests/all.txt",
    ]

    result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert result.returncode == 2
    assert result.stderr.startswith("package: expected python3.13 to compile for Lambda, found none; ")
    assert result.stdout == ""


@pytest.mark.parametrize("target", ["build", "deploy", "start-api"])
def test_an_unknown_architecture_is_told_before_anything_is_built(target: str) -> None:
    """And a package that is there stays."""
    command = ["make", "--silent", target, "ARCHITECTURE=riscv"]

    result = subprocess.run(command, cwd=ROOT, env=ENVIRON, capture_output=True, text=True, check=False)

    assert result.returncode == 2
    assert "expected ARCHITECTURE to be x86_64 or arm64, got riscv" in result.stderr.splitlines()[0]
    assert not result.stdout


@pytest.fixture(params=EVENT_FORMS)
def form(request: pytest.FixtureRequest) -> Callable[[Call], dict[str, Any]]:
    return EVENT_FORMS[request.param]


@pytest.mark.parametrize("name", EVENTS)
def test_lambda_answers_every_event(name: str, event: Event, emulator: Emulator, local_server: LocalServer) -> None:
    """As Gunicorn answers the same call."""
    with local_server.client() as client:
        expected = http_entry_point(client)(EVENTS[name])

    assert expected.status == 200
    assert answer_of(emulator.invoke(event(name))) == expected


def test_lambda_answers_the_whole_table(
    form: Callable[[Call], dict[str, Any]], emulator: Emulator, local_server: LocalServer
) -> None:
    """Plain and base64, byte for byte as Gunicorn, whatever form of event brings the call."""
    plain, encoded = lambda_entry_point(emulator.invoke, form), lambda_entry_point(emulator.invoke, in_base64(form))
    with local_server.client() as client:
        over_http = http_entry_point(client)
        for call, status in CALLS:
            expected = over_http(call)
            assert expected.status == status, call.name
            assert plain(call) == expected, call.name
            assert encoded(call) == expected, call.name


def test_lambda_writes_json_lines(emulator: Emulator, event: Event) -> None:
    """One a request, with nothing else on standard output."""
    before = emulator.log().count('"logger":"access"')

    emulator.invoke(event("predict"))

    assert emulator.log().count('"logger":"access"') == before + 1


def test_the_package_is_read_only(runtime: Path, tmp_path: Path) -> None:
    """For every user under the emulator, also root, as in Lambda."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "probe.py").write_text("def handler(event, context):\n    open('new', 'w')\n")
    make_read_only(package)

    with Emulator.start(runtime, package, tmp_path / "log", handler="probe.handler") as emulator:
        answer = emulator.invoke({})

    assert answer["errorType"] == "PermissionError"


def test_lambda_keeps_the_models_of_the_openapi_document_for_later(package: Path, runtime: Path) -> None:
    """If this fails, a new FastAPI or pydantic builds them at import again; see function/init_phase.py."""
    script = """
import gc, sys
from pydantic import BaseModel

class Watch:
    seen = {}
    def find_spec(self, name, path=None, target=None):
        self.seen[name] = gc.isenabled()

rebuild = BaseModel.__dict__["model_rebuild"]
sys.meta_path.insert(0, Watch())
import function.handler, fastapi.openapi.models as models
assert not Watch.seen["fastapi"] and not Watch.seen["function.main"]
assert BaseModel.__dict__["model_rebuild"] is rebuild
kinds = [kind for kind in vars(models).values() if isinstance(kind, type) and issubclass(kind, BaseModel)]
assert len(kinds) > 30
assert not {models.Schema, models.Operation, models.OpenAPI} & {kind for kind in kinds if kind.__pydantic_complete__}
assert sum(kind.__pydantic_complete__ for kind in kinds) < 5
assert "pydantic.v1" not in sys.modules and "logging.config" not in sys.modules
assert gc.isenabled() and gc.get_freeze_count() > 10_000
assert BaseModel.model_config == {}
class Later(BaseModel):
    number: int
assert Later.__pydantic_complete__ and Later.model_rebuild() is None and Later.model_rebuild(force=True)
assert models.OpenAPI(openapi="3.1.0", info={"title": "t", "version": "1"}).info.title == "t"
"""
    result = subprocess.run([str(runtime), "-c", script], cwd=package, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr


def test_the_service_imports_nothing_of_scoring_in_bulk(package: Path, runtime: Path) -> None:
    """Nor boto3, whose import would double its cold start; and scoring in bulk nothing of HTTP."""
    script = """
import sys
import {module}
found = {{name.partition(".")[0] for name in sys.modules}} | set(sys.modules)
print(*sorted(found & {{"boto3", "botocore", "function.bulk", "function.scoring", "fastapi", "mangum", "starlette"}}))
"""
    found = {}
    for module in ("function.handler", "function.bulk"):
        command = [str(runtime), "-c", script.format(module=module)]
        environ = {"AWS_DEFAULT_REGION": "eu-central-1"}
        result = subprocess.run(command, cwd=package, env=environ, capture_output=True, text=True, check=True)
        found[module] = result.stdout.splitlines()[-1].split()

    assert found == {
        "function.handler": ["fastapi", "mangum", "starlette"],
        "function.bulk": ["boto3", "botocore", "function.bulk", "function.scoring"],
    }


def test_both_functions_have_the_same_package(sam_build: Path) -> None:
    """`sam package` uploads it once."""
    assert digest(sam_build / "BulkFunction") == digest(sam_build / "ClassifierFunction")


def test_a_build_lists_what_the_package_is_made_of() -> None:
    """In CycloneDX, for scanners: every distribution with its version and hashes."""
    subprocess.run(["make", "--silent", "--always-make", "--assume-old=.venv/all", ".aws-sam/sbom.json"], check=True)

    listed = json.loads(Path(".aws-sam/sbom.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    found = {f"{component['name']}=={component['version']}" for component in listed["components"]}
    assert found == {pin.partition(" ")[0] for pin in pins("function/requirements.txt")}
    assert all(component["externalReferences"][0]["hashes"] for component in listed["components"])
    assert {component["purl"] for component in listed["components"]} == {
        f"pkg:pypi/{pin.replace('==', '@')}" for pin in found
    }
