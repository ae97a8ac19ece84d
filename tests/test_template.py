"""template.yaml and the package that it names."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from function.settings import Settings


class Loader(yaml.SafeLoader):
    """Takes CloudFormation's short forms, `!Ref` and the like, as plain values."""


Loader.add_multi_constructor("!", lambda _, tag, node: {tag: node.value})


@pytest.fixture
def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(Path("template.yaml").read_text(), Loader)  # noqa: S506 - a SafeLoader
    return loaded


def test_one_function_behind_an_http_api(template: dict[str, Any]) -> None:
    """With the handler that exists, and limits set."""
    (name, function), *others = template["Resources"].items()
    properties = function["Properties"]

    assert not others
    assert (name, function["Type"]) == ("ClassifierFunction", "AWS::Serverless::Function")
    assert properties["Handler"] == "function.handler.handler"
    assert (properties["Runtime"], properties["Architectures"]) == ("python3.13", ["x86_64"])
    assert properties["MemorySize"] >= 512
    assert properties["Timeout"] <= 29
    assert properties["Events"] == {"Api": {"Type": "HttpApi"}}


def test_its_environment_is_the_settings(template: dict[str, Any]) -> None:
    """All that the app reads, with the app's own defaults."""
    variables = template["Resources"]["ClassifierFunction"]["Properties"]["Environment"]["Variables"]
    plain = {name: value for name, value in variables.items() if isinstance(value, str)}

    assert set(variables) == {name.upper() for name in Settings.model_fields}
    assert Settings.load(plain) == Settings.load({})


def test_the_makefile_builds_it(template: dict[str, Any]) -> None:
    """`sam build` calls a target by the function's name, with the wheels of the template's Python."""
    makefile = Path("Makefile").read_text()
    runtime = template["Resources"]["ClassifierFunction"]["Properties"]["Runtime"]

    assert re.search(r"^build-ClassifierFunction:", makefile, re.MULTILINE)
    assert f"--python-version {runtime.removeprefix('python')} " in makefile
