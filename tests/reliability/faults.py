"""The battery's lines that are tests of `make test-all`, each with a fault in the project that it must find."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.support.entry_points import ROOT


class Line(NamedTuple):
    """One line of the table: what was measured, whether it holds its bar, and the number by which runs compare."""

    figure: str
    holds: bool
    badness: float = 0


class Checks(NamedTuple):
    """A line that is commands, which give the same each time, and the fault in the project that they must find."""

    commands: str
    path: str
    sound: str
    faulty: str

    def run(self, *, is_faulty: bool = False) -> Line:
        """Run the commands in a copy of the project."""
        with tempfile.TemporaryDirectory() as folder:
            for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")[:-1]:
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, Path(folder) / name)
            (Path(folder) / ".venv").symlink_to(sys.prefix)
            file = Path(folder) / self.path
            text = file.read_text()
            assert text.count(self.sound) == 1, (
                f"expected {self.sound!r} once in {self.path}, found {text.count(self.sound)}"
            )
            if is_faulty:
                file.write_text(text.replace(self.sound, self.faulty))
            environ = os.environ | {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "FUZZ_EXAMPLES": "2500",
            }
            command = ["bash", "-ec", self.commands.replace("pytest", "pytest --exitfirst --quiet")]
            result = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        if not result.returncode:
            (passed,) = re.findall(r"^(\d+) passed", result.stdout, re.MULTILINE)
            return Line(f"{int(passed):,} tests pass", holds=True)
        failed = re.search(r"^FAILED \S+::(\w+)", result.stdout, re.MULTILINE)
        return Line(f"{failed[1] if failed else self.commands.split()[0]} fails", holds=False)


GENERATED = "native_routes or numbers_and_texts or the_protocol or binary_tensors"
CONNECTIONS = "pytest tests/integration/test_connections.py"
CHECKS = {
    "B1 10,000 generated bodies": Checks(
        f"pytest tests/fuzz/test_fuzz.py -k '{GENERATED}'",
        "function/api/body.py", "except ValueError as", "except KeyError as",
    ),
    "B2 schemathesis": Checks(
        "pytest tests/fuzz/test_fuzz.py -k schemathesis", "function/api/schemas.py", "declare(413, 415, 422)",
        "declare(413, 415)",
    ),
    "B3 numbers": Checks(
        "pytest tests/unit/test_app.py tests/unit/test_classifier.py tests/integration/test_models.py",
        "function/classifier/inputs.py", "0x1.fffffefffffffp+127", "0x1.fffffffffffffp+127",
    ),
    "B12 heads": Checks(
        "pytest tests/integration/test_attacks.py", "function/server/head.py", "n_hosts == 1 if", "n_hosts >= 1 if"
    ),
    "B13 start-up": Checks(
        "pytest tests/unit/test_classifier.py tests/unit/test_settings.py tests/integration/test_local_server.py",
        "function/classifier/checks.py", "if len(labels) != n_classes:", "if False:",
    ),
    "B16 every entry point": Checks(
        "pytest tests/integration/test_parity.py tests/integration/test_handler.py",
        "function/handler.py", "await app(scope", 'await app(scope | {"path": scope["path"].rstrip("/")}',
    ),
    "B17 malformed and foreign events": Checks(
        "pytest tests/integration/test_handler.py", "function/handler.py", "except Exception as", "except KeyError as"
    ),
    "B19 logs": Checks(
        "pytest tests/integration/test_logs.py tests/unit/test_app.py",
        "function/observability/access.py", 'return quote(path, errors="replace")', "return path",
    ),
    "B21 template": Checks(
        "sam validate --lint; cfn-lint template.yaml --append-rules cfn_lint_serverless.rules; "
        "pytest tests/e2e/test_template.py",
        "template.yaml", "Timeout: 20 ", "Timeout: 40 ",
    ),
    "B22 supply": Checks(
        "bandit --quiet --configfile pyproject.toml --recursive function local_server.py model; lint-imports; "
        "pytest tests/integration/test_requirements.py",
        "function/classifier/loader.py", "import contextlib", "import contextlib, pickle",
    ),
    "B23 scikit-learn": Checks(
        "pytest tests/integration/test_artifact.py tests/integration/test_parity.py -k scikit",
        "function/classifier/predictor.py", "probabilities.argmax(axis=1)", "probabilities.argmin(axis=1)",
    ),
    "B24 upgrades": Checks(
        f"{CONNECTIONS} -k TestUpgrade", "function/server/protocol.py", "data = head + bytes(data[n_parsed:])", "data = head"
    ),
    "B24a trailers": Checks(
        f"{CONNECTIONS} -k no_headers", "function/server/protocol.py", "self.headers = []  # trailers", "# trailers"
    ),
    "B24b conformance": Checks(
        f"{CONNECTIONS} -k conformance", "function/server/head.py", 'if not is_clear or b"#" in target:', "if not is_clear:"
    ),
    "B24b versions": Checks(
        f"{CONNECTIONS} -k TestVersions", "function/server/head.py", 'else version == "1.0" and', "else"
    ),
    "B25 trailers without end": Checks(
        f"{CONNECTIONS} -k 'without_end or many_words'", "function/server/rules.py",
        "MAX_FRAMING_BYTES = 16 * 1024", "MAX_FRAMING_BYTES = 10**12",
    ),
    "B25 pipelining": Checks(
        f"{CONNECTIONS} -k little_memory", "function/server/rules.py", "MOST_WAITING = 8", "MOST_WAITING = 10**6"
    ),
    "B25 a refusal behind an answer": Checks(
        f"{CONNECTIONS} -k 'refusal_waits or late_request'", "function/server/protocol.py",
        "elif is_begun or self.cycle is None or self.cycle.response_complete:", "else:",
    ),
    "B25 empty lines": Checks(
        f"{CONNECTIONS} -k empty_lines", "function/server/rules.py", "MAX_EMPTY_BYTES = 64", "MAX_EMPTY_BYTES = 10**6"
    ),
    "B25 deadlines": Checks(
        f"{CONNECTIONS} -k 'no_request or idle_connection or late_request'", "function/server/protocol.py",
        "            self._end_late()", "            pass",
    ),
    "B25 answers never read": Checks(
        f"{CONNECTIONS} -k nobody_reads", "function/server/protocol.py", "self.transport.abort()\n            return", "return"
    ),
    "B25 slow readers": Checks(
        f"{CONNECTIONS} -k slow_reader", "function/server/transport.py", "self.n_unsent - n_queued", "self.n_unsent"
    ),
    "B25 half-closed clients": Checks(
        f"{CONNECTIONS} -k TestHalfClosed", "function/server/protocol.py",
        "return bool(self._unparsed or self.pipeline) or not self.cycle.response_complete", "return False",
    ),
    "B25 descriptors": Checks(
        f"{CONNECTIONS} -k descriptors", "function/server/fair.py", "idle[: 1 + len(idle) // SHARE]", "idle[:0]"
    ),
    "B26 caches": Checks(
        "pytest tests/e2e/test_caches.py", "function/api/responses.py", '(b"cache-control", b"no-store")', '(b"x-kept", b"yes")'
    ),
    "B27 secrets": Checks(
        "pytest tests/unit/test_settings.py tests/integration -k 'secret or key_in_place'",
        "function/settings.py", 'f"{name}: {what}" if is_secret', 'f"{name}: {value}" if is_secret',
    ),
    "B31 gateways": Checks(
        "pytest tests/integration/test_base_path.py tests/integration/test_handler.py",
        "function/api/entry.py", 'return path[len(prefix) :] or "/"', "return path",
    ),
    "B28 a disk that is full": Checks(
        "pytest tests/integration/test_conditions.py tests/integration/test_metrics.py -k 'disk or tidied'",
        "function/observability/prometheus.py", "except OSError as error:", "except TimeoutError as error:",
    ),
    "B28 files of workers that are gone": Checks(
        "pytest tests/integration/test_conditions.py tests/integration/test_metrics.py -k 'one_file or become_one'",
        "local_server.py", "merge(alive)", "read({})",
    ),
    "B28 a recorder that fails": Checks(
        "pytest tests/unit/test_entry.py -k counted", "function/api/entry.py",
        "except Exception:  # the request still", "except KeyError:  # the request still",
    ),
    "B28 cores that may be used": Checks(
        "pytest tests/integration/test_conditions.py -k 'Cores'",
        "function/server/cores.py", "min(count or 1, len(os.sched_getaffinity(0)))", "count",
    ),
    "B28 no temporary folder": Checks(
        "pytest tests/integration/test_conditions.py -k 'nowhere or temporary'",
        "local_server.py", "        _find_temporary_folder()\n", "",
    ),
    "B28 few descriptors": Checks(
        "pytest tests/integration/test_conditions.py -k 'descriptors or too_few'",
        "local_server.py", "        _check_files()\n", "",
    ),
    "B28 output that is full, gone or ASCII": Checks(
        "pytest tests/integration/test_conditions.py -k 'Output and not closed'",
        "function/observability/logs.py", "handler = Output(sys.stdout)", "handler = logging.StreamHandler(sys.stdout)",
    ),
    "B28 an output of ASCII": Checks(
        "pytest tests/integration/test_conditions.py -k ascii",
        "function/observability/logs.py", "return TextLine(fmt", "return logging.Formatter(fmt",
    ),
    "B28 streams that are closed": Checks(
        "pytest tests/integration/test_conditions.py -k closed",
        "local_server.py", "    _open_standard_streams()\n", "",
    ),
    "B28 both versions of IP": Checks(
        "pytest tests/integration/test_conditions.py -k both_versions",
        "local_server.py", "dualstack_ipv6=is_both", "dualstack_ipv6=False",
    ),
    "B29 a new start takes the port": Checks(
        "pytest tests/integration/test_conditions.py -k with_their_master",
        "function/server/fair.py", "os.getppid() != self._master", "not self._master",
    ),
    "B32 a collector out of reach": Checks(
        "pytest tests/integration/test_conditions.py -k collector",
        "function/observability/tracing.py", "thread.join(seconds)", "thread.join()",
    ),
    "B28 a body that is encoded": Checks(
        "pytest tests/unit/test_app.py -k 'compressed or encoding'",
        "function/api/responses.py", "error(path, 415,", "error(path, 422,",
    ),
    "B32 readiness before the end": Checks(
        "pytest tests/integration/test_conditions.py -k 'isn_t_ready or delay_ends'",
        "function/server/fair.py", "self._notice.is_given", "False",
    ),
}  # fmt: skip
