"""The environment becomes settings, or one line that says which variable is wrong."""

import re
import traceback
from pathlib import Path

import pytest

from function.errors import SettingsError
from function.settings import Environment, Settings, shipped_model
from local_server import ServerSettings
from tests.support.pasted_secrets import DIGEST, KEY, WRONG_KEYS


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    """And an empty variable is an unset one."""
    assert Settings.load({}) == Settings.load({"MAX_ROWS": "", "LABEL_FILEPATH": "", "API_KEY_SHA256": ""})
    assert Settings.load({}).model_dump() == {
        "model_filepath": shipped_model(),
        "label_filepath": None,
        "model_sha256": None,
        "label_rule": "MODEL",
        "allow_missing": False,
        "api_title": "Web Single",
        "api_description": "One trained classifier behind an HTTP API.",
        "api_version": "0.1.0",
        "max_body_bytes": 1_000_000,
        "max_rows": 10_000,
        "max_answer_bytes": 6_225_920,
        "api_key_sha256": (),
        "cors_origins": (),
        "base_path": "",
        "metrics": "NONE",
        "metrics_folder": None,
        "stack_name": "web-single",
        "log_level": "INFO",
        "log_labels": False,
        "log_format": "JSON",
    }


def test_every_setting_is_read() -> None:
    """From the variable of its name; others are left alone."""
    environ = {
        "MODEL_FILEPATH": "/m.onnx",
        "LABEL_FILEPATH": "/l.json",
        "MODEL_SHA256": DIGEST.upper(),
        "LABEL_RULE": "highest",
        "ALLOW_MISSING": "true",
        "API_TITLE": "Title",
        "API_DESCRIPTION": "Description",
        "API_VERSION": "2",
        "MAX_BODY_BYTES": "5",
        "MAX_ROWS": "6",
        "MAX_ANSWER_BYTES": "7",
        "API_KEY_SHA256": f"{DIGEST}, {'b' * 64}",
        "CORS_ORIGINS": "https://a.example,https://b.example",
        "BASE_PATH": "/iris",
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": "text",
        "LOG_LABELS": "true",
        "METRICS": "prometheus",
        "METRICS_FOLDER": "/counters",
        "STACK_NAME": "iris-2",
        "PATH": "/bin",
    }

    of_others = {"PATH"}
    assert set(environ) - of_others == {name.upper() for name in Settings.model_fields}, "environ here lacks settings"
    assert Settings.load(environ).model_dump() == {
        "model_filepath": Path("/m.onnx"),
        "label_filepath": Path("/l.json"),
        "model_sha256": DIGEST,
        "label_rule": "HIGHEST",
        "allow_missing": True,
        "api_title": "Title",
        "api_description": "Description",
        "api_version": "2",
        "max_body_bytes": 5,
        "max_rows": 6,
        "max_answer_bytes": 7,
        "api_key_sha256": (DIGEST, "b" * 64),
        "cors_origins": ("https://a.example", "https://b.example"),
        "base_path": "/iris",
        "metrics": "PROMETHEUS",
        "metrics_folder": Path("/counters"),
        "stack_name": "iris-2",
        "log_level": "DEBUG",
        "log_labels": True,
        "log_format": "TEXT",
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MAX_ROWS", "many", "MAX_ROWS='many': Input should be a valid integer, unable to parse string as an integer"),
        ("MAX_ROWS", "0", "MAX_ROWS='0': Input should be greater than 0"),
        ("MAX_ANSWER_BYTES", "7000000", "MAX_ANSWER_BYTES='7000000': Input should be less than or equal to 6225920"),
        ("LOG_LABELS", "some", "LOG_LABELS='some': Input should be a valid boolean, unable to interpret input"),
        ("MAX_BODY_BYTES", "-1", "MAX_BODY_BYTES='-1': Input should be greater than 0"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL='LOUD': Input should be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT='xml': Input should be 'JSON' or 'TEXT'"),
        ("METRICS", "statsd", "METRICS='statsd': Input should be 'NONE', 'EMF' or 'PROMETHEUS'"),
        ("MODEL_SHA256", "abc", "MODEL_SHA256='abc': expected a SHA-256 digest, 64 hexadecimal digits; got 3 characters"),
        ("API_KEY_SHA256", "hunter2", "API_KEY_SHA256: expected a SHA-256 digest, 64 hexadecimal digits; got 7 characters"),
        ("API_KEY_SHA256", f"{DIGEST},", ("API_KEY_SHA256: expected comma-separated values, "
         "got 2 of which at least one is empty")),
        ("API_KEY_SHA256", " ", "API_KEY_SHA256: expected comma-separated values, got 1 of which at least one is empty"),
        ("API_TITLE", "\udcff", r"API_TITLE='\udcff': expected printable text"),
        ("CORS_ORIGINS", ",", "CORS_ORIGINS=',': expected comma-separated values, got 2 of which at least one is empty"),
        *(("BASE_PATH", value, (f"BASE_PATH={value!r}: expected a path such as /iris: a slash before each part, "
           "none at the end")) for value in ("iris", "/iris/", "/", "//iris", "/a//b", "/iris?", "/a b", "https://a.b/iris")),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(name: str, value: str, message: str) -> None:
    """With what was expected; a key that was meant to be a digest isn't repeated."""
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        Settings.load({name: value})


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("https://app.example/", "https://app.example"),
        ("https://app.example/iris?x#y", "https://app.example"),
        ("HTTPS://App.example", "https://app.example"),
        ("https://me@app.example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80/", "http://app.example"),
        ("http://app.example:8000/", "http://app.example:8000"),
        ("app.example", "https://app.example"),
        ("localhost:3000", "https://localhost:3000"),
        ("https://a.example, http://[::1]:3000/", "http://[::1]:3000"),
        *((value, "scheme, host and port, such as https://app.example") for value in (
            "https://*.app.example", "*.app.example", "*, https://app.example", "**", "https://", "https:app.example",
            "https://app.example:", "https://bücher.example", "https://app example",
        )),
    ],
)  # fmt: skip
def test_an_origin_that_no_browser_sends_is_refused(value: str, written: str) -> None:
    """With what to write: it would never be the same as a browser's."""
    message = f"CORS_ORIGINS={value!r}: expected * alone, or each origin as browsers send it; write {written}"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        Settings.load({"CORS_ORIGINS": value})


@pytest.mark.parametrize(
    "value",
    [
        "*",
        "null",
        "https://a.example",
        "http://a.example:8000",
        "https://[::1]",
        "http://a:443",
        "app://a",
        "moz-extension://a-1",
    ],
)
def test_an_origin_is_taken_as_browsers_send_it(value: str) -> None:
    """Every one alone."""
    assert Settings.load({"CORS_ORIGINS": value}).cors_origins == (value,)


@pytest.mark.parametrize("value", WRONG_KEYS.values(), ids=WRONG_KEYS)
@pytest.mark.parametrize(
    ("settings", "name"),
    [(settings, name) for settings in (Settings, ServerSettings) for name in settings.model_fields],
)
def test_no_secret_is_repeated(settings: type[Environment], name: str, value: str) -> None:
    """Whatever is wrong with it; nor does the traceback, which Lambda logs."""
    told = tell(settings, {name.upper(): value})

    assert (KEY in told) is (settings.model_fields[name].repr and told != "")
    if name == "api_key_sha256":
        assert "SettingsError: API_KEY_SHA256: expected " in told


def tell(settings: type[Environment], environ: dict[str, str]) -> str:
    """Load settings, and give the traceback where they are refused."""
    try:
        settings.load(environ)
    except SettingsError as error:
        return "".join(traceback.format_exception(error))
    return ""


def test_it_is_known_which_settings_hold_a_secret() -> None:
    """One that is called like it, too."""
    fields = Settings.model_fields | ServerSettings.model_fields
    secret = {name for name, field in fields.items() if not field.repr}

    assert secret == {"api_key_sha256"}
    assert secret >= {name for name in fields if re.search("key|secret|token|password|credential", name)}


def test_the_local_server_has_the_original_run_scripts_names() -> None:
    """With safe defaults: this machine only, no recycling, no reload."""
    defaults = ServerSettings.load({"RELOAD": "false"}).model_dump()

    assert defaults.pop("workers") >= 1
    assert defaults == {
        "host": "127.0.0.1",
        "port": 8000,
        "uvicorn_worker": "local_server.Worker",
        "loglevel": "info",
        "logconfig": None,
        "backlog": 2048,
        "limit_max_requests": 0,
        "max_requests_jitter": 0,
        "graceful_timeout": 30,
        "shutdown_delay": 0,
        "request_timeout": 10,
        "keep_alive": 75,
        "app_name": "function.main:app",
        "reload": False,
    }


@pytest.mark.parametrize("n_artifacts", [0, 2])
def test_without_a_name_the_model_folder_holds_one(n_artifacts: int, tmp_path: Path) -> None:
    """Or it would be chance which one is served."""
    for index in range(n_artifacts):
        (tmp_path / f"{index}.onnx").touch()

    with pytest.raises(SettingsError) as raised:
        shipped_model(tmp_path)

    assert str(raised.value) == f"MODEL_FILEPATH is unset: expected one .onnx file in {tmp_path}, found {n_artifacts}"


def test_metrics_in_the_log_want_a_log_of_json() -> None:
    """Else nobody would find them."""
    with pytest.raises(
        SettingsError, match=r"^METRICS='EMF': expected LOG_FORMAT=JSON, whose lines hold the metrics, got TEXT$"
    ):
        Settings.load({"METRICS": "EMF", "LOG_FORMAT": "TEXT"})
