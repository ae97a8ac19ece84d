"""Builds the Lambda package: installs, prunes, compiles and measures. `sam build` calls it; it isn't shipped."""

import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn

ROOT = Path(__file__).parents[1]
PYTHON = "3.13"  # template.yaml's Runtime
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}  # Lambda's name -> the name for wheels
MAX_UNZIPPED_MB, MAX_ZIPPED_MB = 95, 32  # without the model
LAMBDA_MB = 250  # unzipped, in total: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
# As the service does at start-up: a model that it would refuse isn't packed.
LOAD = """
import os, sys
sys.path.insert(0, sys.argv[1])
from function import classifier
from function.errors import ServiceError
from function.settings import Settings
try:
    settings = Settings.load(os.environ)
    classifier.load(settings.model_filepath, label_path=settings.label_filepath, sha256=settings.model_sha256)
    print(settings.model_filepath, settings.label_filepath or settings.model_filepath.with_name("label.json"), sep="\\n")
except ServiceError as error:
    raise SystemExit(str(error))
"""


class Pruned(NamedTuple):
    """Files that are left out; a pattern that matches nothing fails the build, because its package has changed."""

    pattern: str
    megabytes: float  # saved, with the .pyc files
    because: str


PRUNED = (
    Pruned("onnxruntime/capi/libonnxruntime.so.1.*", 29.4, "a second copy: Python loads onnxruntime_pybind11_state"),
    Pruned("onnxruntime/transformers", 4.8, "optimizes models before they ship"),
    Pruned("onnxruntime/quantization", 1.7, "makes models smaller before they ship"),
    Pruned("onnxruntime/tools", 1.2, "converts models"),
    Pruned("google", 2.0, "protobuf, which only the three folders above import"),
    Pruned("flatbuffers", 0.2, "as protobuf"),
    Pruned("packaging", 1.0, "as protobuf"),
    Pruned("numpy/**/tests", 14.2, "NumPy's own tests"),
    Pruned("numpy/_core/_simd.*.so", 1.5, "for those tests"),
    Pruned("numpy/_core/*_tests.*.so", 0.3, "for those tests"),
    Pruned("numpy/_core/include", 0.4, "C headers"),
    Pruned("numpy/f2py", 1.7, "compiles Fortran"),
    Pruned("numpy/testing", 0.5, "for tests of other packages; NumPy imports it on demand"),
    Pruned("numpy/random", 4.1, "random numbers; NumPy imports it on demand"),
    Pruned("pydantic/v1", 1.1, "pydantic 1: FastAPI imports it if it exists, which takes 30 ms"),
    Pruned("**/*.pyi", 1.6, "for type checkers"),
    Pruned("bin", 0.0, "commands: their first line names the machine that built them"),
    Pruned("*.dist-info/RECORD", 0.2, "pip's list of files, with the digests of those commands; now wrong"),
)


class Content(NamedTuple):
    """Which files of the project and of its dependencies are packed."""

    lock: str  # in function/
    unused: tuple[str, ...]  # in function/
    needed: tuple[str, ...] = ()  # of PRUNED
    modules: tuple[str, ...] = ()  # beside function/


BUILD = (
    "package.py",
    "image.py",
    "Dockerfile",
    "start.py",
    "report.py",
    "*.txt",
)  # files of function/ that are only needed for building
PACKAGE = Content("requirements.txt", unused=(*BUILD, "server", "counters.py", "prometheus.py"))


def build(folder: Path, architecture: str) -> None:
    """Fill an empty folder with all files that the function needs, the same bytes for the same input.

    Raises:
        SystemExit: one line that says what is missing or too large; the folder is then empty again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise failure(f"expected an empty folder, {folder} isn't")
    try:
        fill(folder, architecture, PACKAGE)
        weigh(folder)
    except BaseException:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def fill(folder: Path, architecture: str, content: Content) -> None:
    """Install, copy, prune and compile into an empty folder."""
    python = find_python()
    install(folder, architecture, content.lock)
    copy(folder, content)
    prune(folder, content.needed)
    compile_(folder, python)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # whatever the umask


def build_layer(folder: Path, architecture: str) -> None:
    """Empty a folder and fill it with what `function.observability.tracing` imports, for a layer's python/."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install(folder, architecture, "tracing.txt")


def find_python() -> str:
    """Find Lambda's Python, which compiles the .pyc files, and run it: pyenv has shims that don't run."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for candidate in (f"python{PYTHON}", *map(str, pyenv.glob(f"versions/{PYTHON}.*/bin/python"))):
        if shutil.which(candidate) and run(candidate, "--version").returncode == 0:
            return candidate
    raise failure(
        f"expected python{PYTHON} to compile for Lambda, found none; `uv python install {PYTHON}` puts it on the PATH"
    )


def install(folder: Path, architecture: str, lock: str) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries=1"]
    what = ["--no-deps", "--require-hashes", f"--requirement={ROOT / 'function' / lock}"]
    platforms = [f"--platform=manylinux_{glibc}_{MACHINES[architecture]}" for glibc in ("2_28", "2_17")]
    where = [f"--target={folder}", "--no-compile", f"--python-version={PYTHON}", "--only-binary=:all:", *platforms]
    result = run(*pip, *what, *where)
    if result.returncode:
        if "WARNING: Retrying" in result.stderr and "No matching distribution" in result.stderr:
            raise failure("the package index can't be reached; is there a network?")
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")] or [result.stderr]
        raise failure(f"no wheels for Python {PYTHON} on {architecture}: {errors[-1].removeprefix('ERROR: ')}")


def copy(folder: Path, content: Content) -> None:
    shutil.copytree(
        ROOT / "function", folder / "function", ignore=shutil.ignore_patterns("__pycache__", *content.unused)
    )
    for module in content.modules:
        shutil.copy(ROOT / module, folder)
    artifact, labels = find_model()
    (folder / "model").mkdir()
    shutil.copy(artifact, folder / "model")
    digest = hashlib.sha256(artifact.read_bytes()).hexdigest()
    (folder / "model" / f"{artifact.name}.sha256").write_text(f"{digest}  {artifact.name}\n")  # as sha256sum writes it
    if labels.exists():
        shutil.copy(labels, folder / "model" / "label.json")


def find_model() -> tuple[Path, Path]:
    """Load the artifact that MODEL_FILEPATH names, and return its path and that of its labels, which may not exist."""
    result = run(sys.executable, "-c", LOAD, str(ROOT))
    if result.returncode:
        raise failure(result.stderr)
    artifact, labels = map(Path, result.stdout.splitlines())
    return artifact, labels


def prune(folder: Path, needed: Collection[str] = ()) -> None:
    for pattern, _, because in PRUNED:
        if pattern in needed:
            continue
        if not (paths := list(folder.glob(pattern))):
            raise failure(f"expected {pattern} to leave out ({because}), found none; has its package changed?")
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)  # it may have been removed with its folder


def compile_(folder: Path, python: str) -> None:
    """Add a .pyc for each .py that Python never checks: Lambda's clock and read-only file system make others stale."""
    # -I: with PYTHONOPTIMIZE or PYTHONPYCACHEPREFIX set here, Lambda would not find the files.
    compile_all = ["-I", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "-s", str(folder)]
    result = run(python, *compile_all, "-p", "/var/task", str(folder))
    if result.returncode:
        raise failure(f"python{PYTHON} can't compile the package: {result.stdout}{result.stderr}")


def weigh(folder: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    unzipped, zipped = Counter[str](), Counter[str]()
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in paths:
                entry = zipfile.ZipInfo(str(path.relative_to(folder)))  # dated 1980, as by `sam package`
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
                name = re.split("[.-]", Path(entry.filename).parts[0])[0]
                unzipped[name] += entry.file_size
                zipped[name] += entry.compress_size
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    largest = unzipped.most_common(10)
    for name, size in [*largest, ("others", unzipped.total() - sum(size for _, size in largest))]:
        print(f"{size / 1e6:7.1f} MB  {name}")
    total, model = unzipped.total() / 1e6, unzipped["model"] / 1e6
    ours, ours_zipped = total - model, (zipped.total() - zipped["model"]) / 1e6
    print(f"{ours:7.1f} MB  unzipped, of at most {MAX_UNZIPPED_MB}, without the model")
    print(f"{ours_zipped:7.1f} MB  zipped, of at most {MAX_ZIPPED_MB}, without the model; SHA-256 of all {digest}")
    sha256, name = next((folder / "model").glob("*.sha256")).read_text().split(maxsplit=1)
    print(f"{model:7.1f} MB  the model, {name.strip()}, SHA-256 {sha256}")
    if ours > MAX_UNZIPPED_MB or ours_zipped > MAX_ZIPPED_MB:
        got = f"{ours:.1f} MB, {ours_zipped:.1f} MB zipped"
        raise failure(f"expected a package of at most {MAX_UNZIPPED_MB} MB, {MAX_ZIPPED_MB} MB zipped, got {got}")
    if total > LAMBDA_MB:
        raise failure(
            f"expected at most {LAMBDA_MB} MB in total for Lambda, got {total:.1f} MB; PACKAGE=image allows more"
        )


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def failure(message: str) -> SystemExit:
    return SystemExit(f"package: {' '.join(message.split())}")


def stop(number: int, frame: FrameType | None) -> NoReturn:
    raise failure(f"ended by {signal.Signals(number).name}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the Lambda package.")
    parser.add_argument("folder", type=Path, help="an empty or a new one")
    parser.add_argument("--layer", action="store_true", help="a layer that sends OpenTelemetry spans, instead")
    parser.add_argument("architecture", nargs="?", choices=MACHINES, default="x86_64")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    (build_layer if arguments.layer else build)(arguments.folder, arguments.architecture)


if __name__ == "__main__":
    main()
