"""Builds the container image with both entry points, and the template that deploys it to Lambda; it isn't shipped.

python -m function.image x86_64 --base python:3.13-slim --tag web-single
"""

import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from function import __version__, package
from function.package import ROOT, Content, run

PLATFORMS = {"x86_64": "amd64", "arm64": "arm64"}  # Lambda's name -> the name for images
MAX_MB = 200  # without base and model
# Sending spans needs protobuf, which Lambda gets as a layer; Gunicorn needs packaging.
CONTENT = Content("image.txt", package.BUILD, needed=("google", "packaging"), modules=("local_server.py",))
ENTRY_POINTS = "import awslambdaric, function.handler, local_server"
LABEL = "org.opencontainers.image"  # https://github.com/opencontainers/image-spec/blob/main/annotations.md
TIME = 315_532_800  # 1980, for every file, so that the same files give the same layer


def build(folder: Path, architecture: str, base: str, tag: str) -> None:
    """Build an image of the service and its model on a base that has Python 3.13 and a shell.

    Raises:
        SystemExit: one line that says what is missing or wrong; the tag is then unchanged.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/:-]*(:[\w][\w.-]*)?", tag):
        raise failure(f"expected TAG to be an image's name such as web-single:1, got {tag!r}")
    find_base(base, PLATFORMS[architecture])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    stage(folder, architecture)
    megabytes = weigh(folder)
    image = build_image(folder, architecture, base)
    if inspect(image, ".Architecture") == engine("{{.Server.Arch}}"):
        try_out(image)
        tried = "starts on its base"
    else:
        tried = "not started: this engine runs another architecture"
    docker("tag", image, tag)
    for name, size in megabytes.items():
        print(f"{size:7.1f} MB  {name}")
    print(f"{tag} is {image}, for {architecture}; {tried}")


def stage(folder: Path, architecture: str) -> None:
    """Collect the files of the image's layers, with the same bytes and times for the same input."""
    dependencies, service = folder / "dependencies", folder / "service"
    dependencies.mkdir()
    package.fill(dependencies, architecture, CONTENT)
    (service / "__pycache__").mkdir(parents=True)
    for path in (dependencies / "function", *dependencies.glob("**/local_server.*")):
        path.rename(service / path.relative_to(dependencies))
    (dependencies / "model").rename(folder / "model")
    bill = ("--output-reproducible", "--output-file", str(service / "sbom.json"))
    listed = run(sys.executable, "-m", "cyclonedx_py", "requirements", str(ROOT / "function" / CONTENT.lock), *bill)
    if listed.returncode:
        raise failure(f"no bill of materials: {listed.stderr}")
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (TIME, TIME))


def weigh(folder: Path) -> dict[str, float]:
    """Return the megabytes of each layer, without the base's."""
    sizes = {
        name: sum(path.stat().st_size for path in (folder / name).rglob("*") if path.is_file()) / 1e6
        for name in ("dependencies", "service", "model")
    }
    if (ours := sizes["dependencies"] + sizes["service"]) > MAX_MB:
        raise failure(f"expected an image of at most {MAX_MB} MB without base and model, got {ours:.1f} MB")
    return sizes


def find_base(base: str, platform: str) -> None:
    """Find the base image for this platform: the local one, else the registry's."""
    engine("{{.Server.Version}}")
    if run("docker", "image", "inspect", "--format={{.Architecture}}", base).stdout.strip() == platform:
        return
    pulled = run("docker", "pull", "--quiet", f"--platform=linux/{platform}", base)
    if pulled.returncode:
        way_out = "`make base-image` makes a stand-in, BASE=… names another"
        raise failure(f"the base {base} for linux/{platform} can't be pulled; {way_out}: {pulled.stderr}")


def engine(wanted: str) -> str:
    try:
        found = run("docker", "version", "--format", wanted)
    except FileNotFoundError:
        raise failure("expected Docker to build the image, found no docker command") from None
    if found.returncode:
        raise failure(f"expected a running Docker engine, got: {found.stderr}")
    return found.stdout.strip()


def build_image(folder: Path, architecture: str, base: str) -> str:
    """Let Docker copy the folder onto the base, and return the image's id."""
    artifact = next((folder / "model").glob("*.onnx"))
    labels = {
        f"{LABEL}.title": "web-single",
        f"{LABEL}.version": __version__,
        f"{LABEL}.base.name": base,
        "web-single.model.name": artifact.stem,
        "web-single.model.sha256": artifact.with_name(f"{artifact.name}.sha256").read_text().split()[0],
    }
    os.environ["BUILDX_NO_DEFAULT_ATTESTATIONS"] = "1"  # Lambda refuses images with attestations
    with tempfile.TemporaryDirectory() as elsewhere:
        id_file = Path(elsewhere) / "id"
        docker(
            "build",
            f"--file={ROOT / 'function' / 'Dockerfile'}",
            f"--platform=linux/{PLATFORMS[architecture]}",
            f"--build-arg=BASE={base}",
            "--network=none",
            *(f"--label={name}={value}" for name, value in labels.items()),
            f"--iidfile={id_file}",
            str(folder),
        )
        return id_file.read_text()


def try_out(image: str) -> None:
    """Import both entry points, which load the model, in a container; remove the image if that fails.

    Raises:
        SystemExit: the reason in one line.
    """
    tried = run("docker", "run", "--rm", "--network=none", "--read-only", image, "python", "-c", ENTRY_POINTS)
    if tried.returncode:
        base = inspect(image, f'.Config.Labels "{LABEL}.base.name"', "index ")
        run("docker", "rmi", image)
        raise failure(f"the base {base} can't run the service: {last_line(tried.stderr)}")


def inspect(image: str, what: str, function: str = "") -> str:
    return docker("image", "inspect", f"--format={{{{{function}{what}}}}}", image).strip()


def docker(*arguments: str) -> str:
    result = run("docker", *arguments)
    if result.returncode:
        raise failure(f"docker {arguments[0]}: {last_line(result.stderr)}")
    return result.stdout


def write_template(path: Path, tag: str) -> None:
    """Write template.yaml with its functions as this image, for `sam`; JSON is YAML too."""
    from samtranslator.yaml_helper import yaml_parse  # noqa: PLC0415 - a part of sam; only this function needs it

    template = yaml_parse((ROOT / "template.yaml").read_text())
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(to_image(template, tag), indent=2) + "\n")


def to_image(template: Mapping[str, Any], tag: str) -> dict[str, Any]:
    """Return the template with the image instead of the package, and without the properties of packages.

    SAM allows no condition in PackageType. Handler, Runtime and Layers are for packages only:
    https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html
    """
    resources = {name: _as_image(resource, tag) for name, resource in template["Resources"].items()}
    parameters = {name: parameter for name, parameter in template["Parameters"].items() if name != "Layers"}
    conditions = {name: condition for name, condition in template["Conditions"].items() if name != "HasLayers"}
    rules = {name: rule for name, rule in template["Rules"].items() if name != "SpansNeedALayer"}
    changed = {"Parameters": parameters, "Rules": rules, "Conditions": conditions, "Resources": resources}
    return dict(template) | changed


def _as_image(resource: Mapping[str, Any], tag: str) -> dict[str, Any]:
    if resource["Type"] != "AWS::Serverless::Function":
        return dict(resource)
    of_a_package = ("CodeUri", "Handler", "Runtime", "Layers")
    properties = {name: value for name, value in resource["Properties"].items() if name not in of_a_package}
    command = ["python", "-m", "awslambdaric", resource["Properties"]["Handler"]]
    properties |= {"PackageType": "Image", "ImageUri": tag, "ImageConfig": {"Command": command}}
    metadata = {name: value for name, value in resource["Metadata"].items() if name != "BuildMethod"}
    return dict(resource) | {"Metadata": metadata, "Properties": properties}


def last_line(text: str) -> str:
    """Return the last line but docker's advice: it holds the reason, after notices and tracebacks."""
    lines = [line for line in text.strip().splitlines() if line and not line.startswith("Run 'docker")]
    return (lines or ["no reason given"])[-1]


def failure(message: str) -> SystemExit:
    return SystemExit(f"image: {' '.join(message.split())}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Build the container image and, beside its folder, the template that deploys it."
    )
    parser.add_argument("architecture", nargs="?", choices=PLATFORMS, default="x86_64")
    parser.add_argument("--base", default="python:3.13-slim", help="the base image")
    parser.add_argument("--tag", default="web-single", help="the image's name")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".aws-sam" / "image", help="for the image's content; emptied first"
    )
    parser.add_argument("--template-only", action="store_true", help="write only the template")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, package.stop)
    if not arguments.template_only:
        build(arguments.folder, arguments.architecture, arguments.base, arguments.tag)
    write_template(arguments.folder.with_suffix(".json"), arguments.tag)


if __name__ == "__main__":
    main()
