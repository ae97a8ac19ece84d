"""Turns an environment mapping into frozen settings, or into one line that says which variable is wrong."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError

from function import __version__
from function.errors import SettingsError

# A response of AWS Lambda has at most 6 MB: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LAMBDA_ANSWER_BYTES = 6 * 1024 * 1024 - 64 * 1024  # less room for status, headers, brackets
MODEL_FOLDER = Path(__file__).parents[1] / "model"


def shipped_model(folder: Path = MODEL_FOLDER) -> Path:
    """Find the one artifact in model/: Iris, or in a Lambda package the model that was packed.

    Raises:
        SettingsError: there is none, or more than one.
    """
    found = sorted(folder.glob("*.onnx"))
    if len(found) != 1:
        raise SettingsError(f"MODEL_FILEPATH is unset: expected one .onnx file in {folder}, found {len(found)}")
    return found[0]


def _split(value: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in value.split(","))
    if not all(parts):
        raise ValueError(f"expected comma-separated values, got {len(parts)} of which at least one is empty")
    return parts


# What a browser sends as Origin: no path, no slash at the end, no default port.
# https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin
IS_ORIGIN = re.compile(
    r"null|(?!http://[^:]*:80$|https://[^:]*:443$)[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"
).fullmatch


def _origins(value: str) -> tuple[str, ...]:
    origins = _split(value)
    wrong = [origin for origin in origins if not IS_ORIGIN(origin)]
    if wrong and origins != ("*",):
        message = "expected * alone, or each origin as browsers send it"
        raise ValueError(f"{message}; write {_find_origin(wrong[0])}")
    return origins


def _find_origin(text: str) -> str:
    """Guess the origin that was meant: scheme, host and port of an address."""
    scheme, _, rest = text.lower().rpartition("://")
    host = re.split("[/?#]", rest)[0].rpartition("@")[2].removesuffix({"http": ":80"}.get(scheme, ":443"))
    found = f"{scheme or 'https'}://{host}"
    return found if IS_ORIGIN(found) else "scheme, host and port, such as https://app.example"


def _base_path(value: str) -> str:
    if not re.fullmatch(r"(/[\w.~-]+)+", value):
        raise ValueError("expected a path such as /iris: a slash before each part, none at the end")
    return value


def _digest(value: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", value):
        raise ValueError(f"expected a SHA-256 digest, 64 hexadecimal digits; got {len(value)} characters")
    return value.lower()


Digest = Annotated[str, BeforeValidator(_digest)]
Upper = BeforeValidator(lambda value: value.upper())


class Environment(BaseModel):
    """Settings read from environment variables: the field's name in capitals; empty means unset."""

    model_config = ConfigDict(frozen=True, alias_generator=str.upper, protected_namespaces=())

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from a mapping such as `os.environ`.

        Raises:
            SettingsError: names the first variable that is wrong, its value and what was expected.
        """
        given = {name.upper(): environ[name.upper()] for name in cls.model_fields if environ.get(name.upper())}
        for name, value in given.items():
            if not value.replace("\n", "").isprintable():  # such as bytes that aren't UTF-8
                raise cls._wrong(name, value, "expected printable text")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            raise cls._wrong(name, given[name], first["msg"].removeprefix("Value error, ")) from None

    @classmethod
    def _wrong(cls, name: str, value: str, what: str) -> SettingsError:
        """Say what is wrong with a variable, without the value if it is a secret."""
        is_secret = not cls.model_fields[name.lower()].repr
        return SettingsError(f"{name}: {what}" if is_secret else f"{name}={value!r}: {what}")


class Settings(Environment):
    """The app's own settings, the same for every entry point."""

    model_filepath: Annotated[Path, Field(description="the ONNX artifact")] = Field(default_factory=shipped_model)
    label_filepath: Annotated[
        Path | None, Field(description="index -> label, JSON; default: label.json beside the artifact, if there is one")
    ] = None
    model_sha256: Annotated[Digest | None, Field(description="refuse to start with any other artifact")] = None
    label_rule: Annotated[
        Literal["MODEL", "HIGHEST"],
        Upper,
        Field(description="MODEL: the artifact's own label, if it has one; HIGHEST: the most probable class"),
    ] = "MODEL"
    allow_missing: Annotated[
        bool, Field(description="every float and text may be missing (null), if the model then has an answer")
    ] = False
    api_title: Annotated[str, Field(description="title in the OpenAPI document")] = "Web Single"
    api_description: Annotated[str, Field(description="description in the OpenAPI document")] = (
        "One trained classifier behind an HTTP API."
    )
    api_version: Annotated[str, Field(description="version in the OpenAPI document")] = __version__
    max_body_bytes: Annotated[PositiveInt, Field(le=1_000_000_000, description="a larger body gets a 413")] = 1_000_000
    max_rows: Annotated[
        PositiveInt,
        Field(le=1_000_000_000, description="most rows in a batch; lowered if a response could be too large"),
    ] = 10_000
    max_answer_bytes: Annotated[
        PositiveInt, Field(le=LAMBDA_ANSWER_BYTES, description="largest response; 1000000 for Lambda behind an ALB")
    ] = LAMBDA_ANSWER_BYTES
    api_key_sha256: Annotated[
        tuple[Digest, ...],
        BeforeValidator(_split),
        Field(description="comma-separated SHA-256 digests of the accepted X-API-Key values", repr=False),
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...], BeforeValidator(_origins), Field(description="comma-separated origins of browser clients")
    ] = ()
    base_path: Annotated[
        str,
        BeforeValidator(_base_path),
        Field(description="a prefix that a stage, a domain, a load balancer or a proxy adds"),
    ] = ""
    metrics: Annotated[
        Literal["NONE", "EMF", "PROMETHEUS"],
        Upper,
        Field(
            description="EMF: in the access lines, for CloudWatch; PROMETHEUS: at /metrics, the local server's default"
        ),
    ] = "NONE"
    metrics_folder: Annotated[
        Path | None, Field(description="where processes share Prometheus' counters; default: a temporary folder")
    ] = None
    stack_name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
            description="separates the CloudWatch metrics of several deployments",
        ),
    ] = "web-single"
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        Upper,
        Field(description="level of the app's own log lines"),
    ] = "INFO"
    log_labels: Annotated[bool, Field(description="write the predicted labels into the access line")] = False
    log_format: Annotated[Literal["JSON", "TEXT"], Upper, Field(description="TEXT for a terminal")] = "JSON"

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; EMF metrics are in the log lines and need JSON."""
        settings = super().load(environ)
        if settings.metrics == "EMF" and settings.log_format != "JSON":
            raise SettingsError("METRICS='EMF': expected LOG_FORMAT=JSON, whose lines hold the metrics, got TEXT")
        return settings
