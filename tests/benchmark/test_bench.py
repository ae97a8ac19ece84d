"""The bench calculates correctly, and doesn't measure systems with wrong answers."""

import sys
from pathlib import Path

import pytest

from tests.benchmark.load import parse
from tests.benchmark.speed import ratio, spread
from tests.benchmark.systems import System, WrongAnswerError, gunicorn, is_right

WRONG = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"prediction": [0.97420, 0.02490, 0.00090]}')

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_rounds_are_summed_up_as_medians_and_compared_one_by_one() -> None:
    """A slow round slows both, and leaves their ratio."""
    assert f"{spread([3.0, 1.0, 20.0]):.1f}" == "3.0 (1.0 to 20.0)"
    assert ratio([10, 2, 8], [5, 1, 4]) == (2, 2, 2)


def test_what_wrk_found_is_its_last_line() -> None:
    """In requests per second and milliseconds."""
    line = '{"n_requests": 600, "seconds": 2, "n_errors": 0, "milliseconds": {"50": 1.5, "99": 4}}'

    assert parse(f"Running 2s test\n\n{line}\n") == (300, {"50": 1.5, "99": 4})


@pytest.mark.parametrize(("n_requests", "n_errors"), [(600, 1), (0, 0)])
def test_a_load_with_errors_is_no_measurement(n_requests: int, n_errors: int) -> None:
    """Errors are often faster than answers."""
    line = f'{{"n_requests": {n_requests}, "seconds": 2, "n_errors": {n_errors}, "milliseconds": {{}}}}'

    with pytest.raises(RuntimeError, match=f"got {n_errors} errors in {n_requests} answers"):
        parse(line)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([0.974183, 0.024898, 0.000919], True),
        ([0.9741831, 0.0248981, 0.0009188], True),
        ([0.974203, 0.024898, 0.000919], False),
        ([0.974183, 0.024898], False),
        ([float("nan")] * 3, False),
    ],
)
def test_an_answer_is_right_to_a_hundred_thousandth(probabilities: list[float], expected: bool) -> None:  # noqa: FBT001
    """Of as many classes."""
    assert is_right(probabilities) is expected


def test_a_system_that_answers_wrong_is_refused_before_it_is_measured(tmp_path: Path) -> None:
    """However fast it is; the one beside it is served."""
    (tmp_path / "wrong.py").write_text(WRONG)
    wrong = System("wrong", [sys.executable, str(tmp_path / "wrong.py"), "{0}"])

    with pytest.raises(WrongAnswerError, match="wrong: expected "), wrong.serve():
        pytest.fail("it is measured")
    with gunicorn("right", "tests.benchmark.ceiling:app").serve() as url:
        assert url.endswith("/predict")
