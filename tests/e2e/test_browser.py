"""The page in a real browser, against Gunicorn and the Lambda handler: all that a person can do there."""

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from playwright.sync_api import Browser, Route
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_score, recall_score, roc_auc_score

from model.describe import main as describe
from tests.integration.test_describe import PENGUINS
from tests.support.browser import DESKTOP, PHONE, Visit, chromium, lambda_front
from tests.support.emulator import Emulator
from tests.support.entry_points import LocalServer
from tests.support.iris import FEATURES, SPECIES, iris_csv
from tests.support.kinds import GAPS, KINDS
from tests.support.models import breast_cancer, penguins, scaled, sklearn
from tests.support.passengers import FEATURES as PASSENGER
from tests.support.passengers import export_passengers, passengers, train

KEY = "schlüssel"
NONE = "–"  # noqa: RUF001 - the dash of a choice that isn't made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with LocalServer.start(tmp_path_factory.mktemp("iris") / "log") as server:
        yield server.url


@pytest.fixture(scope="module")
def penguin_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model of texts and numbers, which carries its texts."""
    folder = tmp_path_factory.mktemp("penguins")
    path = folder / "penguins.onnx"
    path.write_bytes(penguins().artifact)
    describe([str(path), str(PENGUINS), "--target", "species", "--in-place"])
    with LocalServer.start(folder / "log", MODEL_FILEPATH=str(path)) as server:
        yield server.url


@pytest.fixture(scope="module")
def cancer_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model of 30 features, which carries nothing."""
    folder = tmp_path_factory.mktemp("cancer")
    path = folder / "cancer.onnx"
    path.write_bytes(sklearn(scaled(LogisticRegression()), breast_cancer()).artifact)
    with LocalServer.start(folder / "log", MODEL_FILEPATH=str(path)) as server:
        yield server.url


@pytest.fixture(scope="module")
def locked_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that requires a key, and has a low limit of rows."""
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    log = tmp_path_factory.mktemp("locked") / "log"
    with LocalServer.start(log, API_KEY_SHA256=digest, MAX_ROWS="40", MAX_BODY_BYTES="500") as server:
        yield server.url


@pytest.fixture(scope="module")
def stage_url(emulator: Emulator) -> Iterator[str]:
    """The package under AWS's runtime emulator, below a stage."""
    with lambda_front(emulator.invoke, "/prod") as url:
        yield url


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Visit]:
    with Visit.start(browser, url) as visit:
        yield visit.answered()


def predict(url: str, rows: list[list[Any]]) -> dict[str, Any]:
    answer: dict[str, Any] = httpx2.post(f"{url}/predict/batch", json={"data": rows}, timeout=30).json()
    return answer


def wait_for_label(visit: Visit, label: str) -> None:
    visit.page.wait_for_selector(f"#label:text-is('{label}')")


def posts(visit: Visit) -> list[str]:
    """Give the bodies of what was asked of a prediction."""
    return [request.post_data or "" for request in visit.requests if "/predict" in request.url]


class TestTry:
    def test_it_shows_that_the_first_answer_is_on_its_way(self, browser: Browser, url: str) -> None:
        """To eyes by a mark, to a screen reader by aria-busy; both go with the answer."""
        mark = "getComputedStyle(document.querySelector('#answer .top'), '::before').content"
        with Visit.start(browser, url) as visit:
            visit.answered().page.goto("about:blank")  # which gives up what is still asked
            waiting: list[Route] = []
            visit.page.route("**/predict/batch", lambda route: route.continue_() if waiting else waiting.append(route))
            visit.page.goto(url)
            visit.page.wait_for_selector("#answer[aria-busy='true']:visible")
            before = visit.page.evaluate(mark)
            while not waiting:
                visit.page.wait_for_timeout(20)
            waiting[0].continue_()
            visit.page.wait_for_selector("#answer[aria-busy='false']")

            assert (before, visit.page.evaluate(mark)) == ('"…"', "none")
            assert visit.text("#label") == "setosa"

    def test_it_starts_at_the_sample(self, visit: Visit) -> None:
        """With the model's name, and controls within the training ranges."""
        assert visit.page.title() == visit.text("h1") == "iris_svc"
        assert visit.text("#label") == "setosa"
        assert visit.texts("#bars li") == ["setosa\n97.4%", "versicolor\n2.5%", "virginica\n< 0.1%"]
        assert visit.text("#time").endswith(" ms")
        assert visit.page.get_attribute("#answer", "aria-busy") == "false"
        sliders = visit.page.locator("input[type=range]").evaluate_all("all => all.map(one => [one.min, one.max])")
        assert sliders == [["4.3", "7.9"], ["2", "4.4"], ["1", "6.9"], ["0.1", "2.5"]]
        assert posts(visit)[0] == '{"data":[[5.1,3.5,1.4,0.2]]}'

    def test_sliding_moves_the_answer(self, visit: Visit, url: str) -> None:
        """By keyboard too; the number beside it follows."""
        for name in FEATURES[2:]:
            visit.page.get_by_role("slider", name=name).press("End")

        wait_for_label(visit, "virginica")
        expected = predict(url, [[5.1, 3.5, 6.9, 2.5]])["prediction"][0]
        assert visit.page.input_value("#feature-2") == "6.9"
        assert visit.texts("#bars .share")[2] == f"{100 * expected[2]:.1f}%"
        visit.page.click("#reset")
        wait_for_label(visit, "setosa")

    def test_changes_are_coalesced(self, visit: Visit) -> None:
        """A hundred steps during one request cause two requests."""
        slide = """slider => {
            for (let step = 0; step <= 100; step++) {
                slider.value = 1 + 0.05 * step;
                slider.dispatchEvent(new Event("input", { bubbles: true }));
            }
        }"""
        before = len(posts(visit))

        visit.page.get_by_role("slider", name=FEATURES[2]).evaluate(slide)
        wait_for_label(visit, "versicolor")
        visit.page.wait_for_timeout(200)

        rows = [json.loads(body)["data"] for body in posts(visit)[before:]]
        assert 1 <= sum(len(row) == 1 for row in rows) <= 2  # of one row; why it is so is asked of several
        assert len(rows) <= 3

    def test_a_slow_answer_never_overwrites_a_newer_one(self, visit: Visit) -> None:
        """Even if it still arrives, because requests can't be aborted here."""
        late = []

        def answer(route: Route) -> None:
            if "[5.5," in (route.request.post_data or ""):
                late.append(route)
            else:
                route.fulfill(json={"prediction": [[0.0, 0.0, 1.0]], "label": ["virginica"]})

        visit.page.evaluate(
            """() => {
                const ask = window.fetch;
                window.fetch = (path, { signal, ...options }) => ask(path, options);
            }"""
        )
        visit.page.route("**/predict/batch", answer)

        visit.page.fill("#feature-0", "5.5")
        visit.page.wait_for_timeout(50)
        visit.page.fill("#feature-0", "5.6")
        wait_for_label(visit, "virginica")
        with visit.page.expect_response("**/predict/batch"):
            late[0].fulfill(json={"prediction": [[0.0, 1.0, 0.0]], "label": ["versicolor"]})
        visit.page.wait_for_timeout(100)

        assert visit.text("#label") == "virginica"

    def test_a_value_outside_of_training_is_warned_of(self, visit: Visit) -> None:
        """By name and range; the answer is given all the same."""
        visit.page.fill("#feature-0", "9")

        visit.page.wait_for_selector("#outside:not(:empty)")
        assert visit.text("#outside") == "Outside the training data: sepal length (cm) (4.3 to 7.9)"
        visit.page.fill("#feature-0", "5")
        visit.page.wait_for_selector("#outside:empty", state="attached")

    def test_no_number_is_told_before_anything_is_sent(self, visit: Visit) -> None:
        """By the feature's name."""
        before = len(posts(visit))

        visit.page.fill("#feature-1", "")

        visit.page.wait_for_selector("#try-fault:not(:empty)")
        assert visit.text("#try-fault") == "sepal width (cm): expected a number"
        assert visit.text("#label") == ""
        assert visit.text("#snippet") == "No request yet. sepal width (cm): expected a number"
        assert visit.page.is_disabled("#copy")
        assert len([body for body in posts(visit)[before:] if "null" in body]) == 0

    @pytest.mark.parametrize(
        ("typed", "row"), [("5,7", 5.7), (" 5.7 ", 5.7), ("5,75e-1", 0.575), ("-.5", -0.5), ("+2", 2), ("1000", 1000)]
    )
    def test_a_number_is_read_as_it_is_written(self, visit: Visit, typed: str, row: float) -> None:
        """With a decimal comma too, which a browser's own field for numbers drops."""
        visit.page.fill("#feature-0", "")
        visit.page.type("#feature-0", typed)

        visit.page.wait_for_selector(f"#snippet:has-text('[[{row}, 3.5, 1.4, 0.2]]')")
        visit.answered()
        assert visit.text("#try-fault") == ""

    @pytest.mark.parametrize("typed", ["1,234", "-12,345", "1,234,567"])
    def test_a_comma_that_may_separate_thousands_is_asked_about(self, visit: Visit, typed: str) -> None:
        """Neither 1234 nor 1.234 is sent."""
        visit.page.wait_for_selector("#why:not(.old) #why-bars li")
        before = len(posts(visit))

        visit.page.fill("#feature-0", typed)

        message = f"“{typed}” is ambiguous: write thousands without the comma, decimals with a point"
        visit.page.wait_for_selector("#try-fault:not(:empty)")
        assert visit.text("#try-fault") == f"sepal length (cm): {message}"
        assert not [body for body in posts(visit)[before:] if '"data":[[5.1,' not in body]

    def test_why_it_is_so_is_told_by_one_request(self, visit: Visit, url: str) -> None:
        """A feature at a time at its median, the greatest change first."""
        visit.page.wait_for_selector("#why:not(.old) #why-bars li")
        medians = [feature["median"] for feature in httpx2.get(f"{url}/metadata").json()["features"]]
        sample = [5.1, 3.5, 1.4, 0.2]
        rows = [[*sample[:index], medians[index], *sample[index + 1 :]] for index in range(4)]
        given = [row[0] - 0.974183 for row in predict(url, rows)["prediction"]]
        expected = sorted(zip(FEATURES, sample, medians, given, strict=True), key=lambda one: -abs(one[3]))

        assert json.loads(posts(visit)[-1]) == {"data": rows}
        assert len(posts(visit)) == 2
        assert visit.text("#why-title") == "Why setosa?"
        assert [line.split("\n") for line in visit.texts("#why-bars li")] == [
            [name, f"{value:g} → {median:g}", f"{'+' if change > 0 else '−'}{abs(100 * change):.1f}"]  # noqa: RUF001 - a minus
            for name, value, median, change in expected
        ]
        assert "when one feature alone is set to its training median" in visit.text("#why")
        assert "No causes" in visit.text("#why")

    def test_why_it_is_so_is_told_of_texts_and_gaps_too(self, browser: Browser, penguin_url: str) -> None:
        """By the commonest text; what is typical already changes nothing."""
        with Visit.start(browser, penguin_url) as visit:
            visit.answered()
            visit.page.select_option("#feature-0", "Dream")
            visit.page.wait_for_selector("#why-bars li:has-text('Dream → Biscoe')")
            visit.page.select_option("#feature-0", "Biscoe")

            visit.page.wait_for_selector("#why-notes:has-text('already typical')")
            visit.page.wait_for_selector("#why:not(.old)")
            assert "island" not in visit.text("#why-bars")

    def test_texts_are_chosen(self, browser: Browser, penguin_url: str) -> None:
        """Where the model carries them; whole numbers take no others."""
        with Visit.start(browser, penguin_url) as visit:
            visit.answered()
            assert visit.texts("#feature-0 option") == ["Biscoe", "Dream", "Torgersen"]
            row = json.loads(posts(visit)[0])["data"][0]
            changed = ["Dream", *row[1:]]

            visit.page.select_option("#feature-0", "Dream")

            expected = predict(penguin_url, [changed])
            visit.page.wait_for_selector(f"#bars .best .share:text-is('{100 * max(expected['prediction'][0]):.1f}%')")
            assert visit.text("#label") == expected["label"][0]
            visit.page.fill("#feature-6", "2007.5")
            visit.page.wait_for_selector("#try-fault:text-is('year: expected a whole number')")

    def test_thirty_features_of_a_model_that_carries_nothing(self, browser: Browser, cancer_url: str) -> None:
        """Numbers without ranges."""
        with Visit.start(browser, cancer_url, size=PHONE) as visit:
            visit.answered()

            assert visit.page.locator("#controls input").count() == 30
            assert visit.page.locator("input[type=range]").count() == 0
            assert visit.page.is_hidden("#why")  # it carries no medians
            assert visit.text("#outside") == ""

    @pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
    @pytest.mark.parametrize("has_prefix", [False, True], ids=["Gunicorn", "Lambda behind a stage"])
    def test_its_code_gives_its_answer(
        self, language: str, url: str, stage_url: str, browser: Browser, *, has_prefix: bool
    ) -> None:
        """With the page's own address."""
        with Visit.start(browser, stage_url if has_prefix else url) as visit:
            visit.answered()
            visit.page.get_by_role("button", name=language).click()
            code = visit.text("#snippet")
            expected = [0.974183, 0.024898142, 0.00091884134]
            match language:
                case "curl":
                    answer = json.loads(run("bash", "-c", code.replace("curl", "curl --silent", 1)))["prediction"]
                case "Python":
                    answer = json.loads(run(sys.executable, "-c", code))
                case _:
                    answer = visit.page.evaluate(f"async () => {{ {code.replace('console.log', 'return ')} }}")

            assert answer == expected
            assert f"{stage_url if has_prefix else url}/predict" in code

    def test_it_can_be_copied(self, browser: Browser, url: str) -> None:
        """To the clipboard; on plain HTTP elsewhere than here it is selected."""
        with Visit.start(browser, url, permissions=["clipboard-read", "clipboard-write"]) as visit:
            visit.answered().page.click("#copy")

            visit.page.wait_for_selector("#copy:text-is('Copied')")
            assert visit.page.evaluate("navigator.clipboard.readText()") == visit.text("#snippet")

    def test_a_failure_is_told_and_passes(self, visit: Visit) -> None:
        """With the request's id, in place of the answer."""
        detail = [{"loc": [], "msg": "unexpected failure; its request id is 7", "type": "internal"}]
        visit.page.route("**/predict/batch", lambda route: route.fulfill(status=500, json={"detail": detail}))

        visit.page.fill("#feature-0", "5.2")
        visit.page.wait_for_selector("#try-fault:not(:empty)")

        assert visit.text("#try-fault") == "Status 500: unexpected failure; its request id is 7"
        assert visit.text("#label") == visit.text("#time") == ""
        visit.page.unroute("**/predict/batch")
        visit.page.fill("#feature-0", "5.3")
        wait_for_label(visit, "setosa")
        assert visit.text("#try-fault") == ""

    def test_a_service_that_is_gone_is_told(self, visit: Visit) -> None:
        """In its own words."""
        visit.page.route("**/predict/batch", lambda route: route.abort())

        visit.page.fill("#feature-0", "5.2")

        visit.page.wait_for_selector("#try-fault:text-is('The service can\\'t be reached.')")

    def test_another_model_is_told(self, visit: Visit) -> None:
        """The page still shows the old model."""
        visit.page.route(
            "**/predict/batch",
            lambda route: route.fulfill(
                json={"prediction": [[0, 0, 1]], "label": ["virginica"]}, headers={"x-model-sha256": "0" * 12}
            ),
        )

        visit.page.fill("#feature-0", "5.2")

        visit.page.wait_for_selector("#notice:has-text('The service has another model now.')")


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def rows_of(text: str, separator: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), delimiter=separator))


def downloaded(visit: Visit, separator: str = ",") -> list[list[str]]:
    with visit.page.expect_download() as download:
        visit.page.click("#download")
    return rows_of(Path(download.value.path()).read_text("utf-8-sig"), separator)


ALTERED: dict[str, str | bytes] = {
    "comma": iris_csv(),
    "semicolon": iris_csv(";"),
    "tab": iris_csv("\t"),
    "no header": iris_csv(has_header=False),
    "no header, semicolon": iris_csv(";", has_header=False),
    "decimal comma": iris_csv(",").replace(",", ";").replace(".", ","),
    "quoted": "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows_of(iris_csv())),
    "BOM": "\ufeff" + iris_csv(),
    "UTF-16": iris_csv().encode("utf-16"),
    "line feeds": iris_csv().replace("\r\n", "\n").rstrip("\n"),
    "carriage returns": iris_csv().replace("\r\n", "\r"),
    "blank lines": iris_csv().replace("\r\n", "\r\n\r\n"),
    "columns in another order": "".join(",".join(reversed(row)) + "\n" for row in rows_of(iris_csv())),
    "other names": iris_csv().replace("sepal length (cm)", "Sepal.Length"),
    "an id first": "".join(f"{i + 500 if i else 'id'},{line}\n" for i, line in enumerate(iris_csv().splitlines())),
    "labels as numbers": iris_csv(label=str),
    "labels first, no header": "".join(
        ",".join([row[-1], *row[:-1]]) + "\n" for row in rows_of(iris_csv(has_header=False))
    ),
}  # fmt: skip


class TestFile:
    @pytest.mark.parametrize("name", ALTERED)
    def test_every_form_of_csv_is_read(self, name: str, visit: Visit) -> None:
        """The same 146 of 150, whatever it looks like."""
        visit.choose("iris.csv", ALTERED[name])
        assert visit.text("#bad-rows") == ""
        assert visit.text("#run") == "Predict 150 rows"

        visit.predict()

        assert visit.text("#accuracy") == "97.3%"

    def test_how_good_the_model_is(self, visit: Visit, url: str) -> None:
        """scikit-learn's numbers, of the answers that the service gives."""
        rows, targets = load_iris(return_X_y=True)
        answer = predict(url, rows.tolist())
        said = [SPECIES.index(label) for label in answer["label"]]

        visit.choose("iris.csv", iris_csv())
        visit.predict()

        given = np.array(answer["prediction"])
        assert "146 of 150 rows right. Actual labels from “species”." in visit.text("#quality")
        assert "Always predicting “setosa” would be right in 33.3%." in visit.text("#quality")
        assert visit.text("#accuracy-note") == "of 150 rows"
        figures = visit.texts(".figures .big")
        assert figures == [
            "97.3%",
            f"{f1_score(targets, said, average='macro'):.3f}",
            f"{roc_auc_score(targets, given, multi_class='ovr'):.3f}",
            f"{log_loss(targets, given / given.sum(axis=1, keepdims=True)):.3f}",
        ]
        matrix = [[int(n) for n in row.split()[-3:]] for row in visit.texts("#matrix tbody tr")]
        assert matrix == confusion_matrix(targets, said).tolist()
        assert visit.texts("#matrix .axis") == ["Predicted", "Actual"]
        scores = (precision_score, recall_score, f1_score)
        precision, recall, f1 = (f(targets, said, average=None) for f in scores)
        areas = [roc_auc_score(targets == i, given[:, i]) for i in range(3)]
        assert [row.split("\t") for row in visit.texts("#classes tbody tr")] == [
            [name, *(f"{one[i]:.3f}" for one in (precision, recall, f1, areas)), "50"] for i, name in enumerate(SPECIES)
        ]
        assert visit.page.locator("#quality svg .dot").count() == 7
        label = visit.page.get_attribute("#quality svg", "aria-label")
        assert label is not None
        assert label.startswith("Calibration curve: 21 rows with ")
        visit.page.click("#calibration summary")
        counts = [int(row.split("\t")[3]) for row in visit.texts("#bins tbody tr")]
        assert (sum(counts), min(counts) >= 10) == (150, True)

    def test_the_worst_mistakes_come_first(self, visit: Visit, url: str) -> None:
        """Those in which it gave the true label least; a row can be tried."""
        rows, targets = load_iris(return_X_y=True)
        given = np.array(predict(url, rows.tolist())["prediction"])
        wrong = [row for row in range(150) if given[row].argmax() != targets[row]]
        worst = sorted(wrong, key=lambda row: given[row][targets[row]])

        visit.choose("iris.csv", iris_csv())
        visit.predict()

        lines = [int(row.split("\t")[0]) for row in visit.texts("#table tbody tr:not(.space)")]
        assert lines[:4] == [row + 2 for row in worst]
        assert visit.page.locator("#table tr.wrong").count() == 4
        visit.page.select_option("#order", "file")
        assert visit.texts("#table tbody tr:not(.space)")[0].startswith("2\tsetosa\t")
        assert visit.texts("#table thead th") == [
            *("Line", "Predicted", "Confidence", "Actual", "P(actual)"),
            *FEATURES,
            "Try",
        ]
        visit.page.locator("#table-scroll").evaluate("region => region.scrollTo(0, 1e9)")
        visit.page.get_by_role("button", name="Try line 151").click()
        wait_for_label(visit, "virginica")
        assert f"[[{', '.join(f'{value:g}' for value in rows[149])}]]" in visit.text("#snippet")

    def test_the_answers_can_be_downloaded(self, visit: Visit, url: str) -> None:
        """Beside what came, in its form."""
        rows, _ = load_iris(return_X_y=True)
        answer = predict(url, rows.tolist())
        visit.choose("iris.csv", iris_csv(";"))
        visit.predict()

        head, *lines = downloaded(visit, ";")

        assert head == [*FEATURES, "species", "predicted", *(f"p({name})" for name in SPECIES), "error"]
        assert [line[:5] for line in lines] == rows_of(iris_csv(";", has_header=False), ";")
        assert [line[5] for line in lines] == answer["label"]
        assert [[float(value) for value in line[6:9]] for line in lines] == answer["prediction"]
        assert {line[9] for line in lines} == {""}

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    def test_no_spreadsheet_runs_what_was_in_the_file(self, visit: Visit, separator: str) -> None:
        """A text that it would take for a formula gets an apostrophe; a number stays one."""
        texts = [
            "=1+1",
            "+cmd|' /C calc'!A0",
            "-2+3",
            "@SUM(A1)",
            " =1",
            "\n=1",
            "\r=1",
            "\uff1d1",
            "\uff0d1",
            "=",
            "-",
            "-1.5x",
            '="a";b,c',
        ]
        if separator != "\t":
            texts += ["\tx", "\t=1"]
        others = ["-1.5", "+2", "-1,5", "-.5", "-1e-3", "a=1", "'=1", "", "x-y", "1-2", "(=1)"]
        lines = io.StringIO()
        writer = csv.writer(lines, delimiter=separator, quoting=csv.QUOTE_ALL)
        writer.writerow([*FEATURES, '=HYPERLINK("https://a.example")'])
        writer.writerows([[-1.5, 3.5, 1.4, 0.2, text] for text in texts + others])
        visit.choose("formulas.csv", lines.getvalue())
        visit.predict()

        with visit.page.expect_download() as download:
            visit.page.click("#download")
        written = Path(download.value.path()).read_bytes().decode("utf-8-sig")
        head, *rows = csv.reader(io.StringIO(written, newline=""), delimiter=separator)

        assert head[4] == '\'=HYPERLINK("https://a.example")'
        assert [row[4] for row in rows] == [f"'{text}" for text in texts] + others
        assert {(row[0], row[-1]) for row in rows} == {("-1.5", "")}

    def test_a_row_with_a_fault_is_named_and_the_others_are_answered(self, visit: Visit) -> None:
        """By its line and column."""
        good = "5.1,3.5,1.4,0.2\n"
        faults = '5.1,,1.4,0.2\n5.1,3.5,"much",0.2\n5.1,3.5,1.4\n5.1,3.5,1e999,0.2\n5.1,3.5,1e39,0.2\n'
        visit.choose("faults.csv", ",".join(FEATURES) + "\n" + good + faults + good)
        before = [
            "4 rows can't be answered:",
            "line 3: “sepal width (cm)”: expected a number, got nothing",
            "line 4: “petal length (cm)”: expected a number, got “much”",
            "line 5: expected 4 columns, got 3",
            "line 6: “petal length (cm)”: expected a number, got “1e999”",
        ]
        assert visit.text("#bad-rows").split("\n") == before

        visit.predict()

        found = visit.text("#bad-rows").split("\n")
        assert found[0] == "5 rows can't be answered:"
        assert found[1:5] == before[1:]
        assert found[5].startswith('line 7: "petal length (cm)": ')
        assert visit.text("#progress-text").startswith("2 of 3 rows answered")
        assert [line[-1] != "" for line in downloaded(visit)[1:]] == [False, True, True, True, True, True, False]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "it is empty, 0 bytes"),
            ("\n \n", "it has no rows, only blank lines"),
            (",".join(FEATURES) + "\n", "it has no rows, only a header"),
            ('a,b\n1,"2\n', "line 2: a quoted field is never closed"),
            ('a,b\n1,"2"3\n', "line 2: expected the separator after a quoted field; a quote within one is written twice"),
        ],
        ids=["empty", "blank", "header", "open quote", "quote within"],
    )  # fmt: skip
    def test_what_isnt_csv_is_told(self, content: str, message: str, visit: Visit) -> None:
        """With the line."""
        visit.choose("broken.csv", content)

        assert visit.text("#file-fault") == f"broken.csv: {message}"

    def test_a_feature_without_a_column_is_told(self, visit: Visit) -> None:
        """It can be chosen by hand."""
        visit.choose("narrow.csv", "sepal length,sepal width,petal length,x\n1,2,3,4\n")
        assert visit.text("#file-fault") == "No column for petal width (cm): choose one below."
        assert visit.page.is_disabled("#run")

        visit.page.select_option("#column-3", "x")
        visit.predict()

        assert json.loads(posts(visit)[-1]) == {"data": [[1, 2, 3, 4]]}

        assert visit.text("#progress-text").startswith("1 of 1 row answered")

    def test_a_text_that_the_model_refuses_is_named(self, browser: Browser, penguin_url: str) -> None:
        """And its row alone is left out."""
        lines = PENGUINS.read_text().splitlines()
        lines[5:5] = [lines[1].replace("Torgersen", "Anticosti")] * 3
        n_whole = sum(",NA" not in line and "Anticosti" not in line for line in lines[1:])
        with Visit.start(browser, penguin_url) as visit:
            visit.answered().choose("penguins.csv", "\n".join(lines))

            visit.predict()

            assert 'line 6: "island": expected one of Biscoe, Dream, Torgersen, got another value' in visit.text(
                "#bad-rows"
            )
            assert visit.text("#progress-text").startswith(f"{n_whole} of ")
            assert float(visit.text("#accuracy").removesuffix("%")) > 99

    def test_a_column_of_texts_that_are_all_refused_ends_it(self, browser: Browser, penguin_url: str) -> None:
        """Each of them would cost a request."""
        head, first, *_ = PENGUINS.read_text().splitlines()
        lines = [first.replace("Torgersen", f"island {number}") for number in range(1000)]
        with Visit.start(browser, penguin_url) as visit:
            visit.answered().choose("islands.csv", "\n".join([head, *lines]))

            visit.predict()

            message = "More than 100 values are refused: are these the right columns?"
            assert visit.text("#file-fault") == message
            assert len(posts(visit)) < 110

    def test_100_000_rows(self, visit: Visit, iris: NDArray[np.float64], url: str) -> None:
        """All of them, in order, within the limits."""
        rows = np.tile(iris, (667, 1))[:100_000]
        text = ",".join(FEATURES) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows.tolist())
        visit.choose("large.csv", text)
        assert visit.text("#run") == "Predict 100,000 rows"

        started = time.monotonic()
        visit.predict()

        assert time.monotonic() - started < 30
        assert visit.text("#progress-text").startswith("100,000 of 100,000 rows answered")
        sizes = [len(body) for body in posts(visit)]
        assert max(sizes) <= 1_000_000
        assert visit.page.locator("#table tbody tr").count() < 100
        assert visit.page.get_attribute("#table", "aria-rowcount") == "100001"
        visit.page.locator("#table-scroll").evaluate("region => region.scrollTo(0, 1e9)")
        visit.page.wait_for_selector("#table tr[aria-rowindex='100001'] td:first-child:text-is('100001')")
        lines = downloaded(visit)
        assert len(lines) == 100_001
        assert [line[4] for line in lines[1:]] == (predict(url, iris.tolist())["label"] * 667)[:100_000]

    def test_it_can_be_cancelled(self, visit: Visit) -> None:
        """The answers so far stay."""
        n_batches = 0

        def answer(route: Route) -> None:
            nonlocal n_batches
            n_batches += len(route.request.post_data or "") > 10_000  # else it is why the sample's answer is so
            if n_batches <= 1:
                route.continue_()

        visit.page.route("**/predict/batch", answer)
        visit.choose("iris.csv", ",".join(FEATURES) + "\n" + "5.1,3.5,1.4,0.2\n" * 10_000)
        visit.page.click("#run")
        visit.page.wait_for_selector("#progress-text:text-is('2,000 of 10,000 rows')")
        assert visit.page.evaluate("document.getElementById('progress').value") == 2000
        assert visit.page.get_attribute("#progress-text", "aria-busy") == "true"  # only its end is spoken

        visit.page.click("#cancel")

        visit.page.wait_for_selector("#progress-text:has-text('2,000 of 10,000 rows answered')")
        assert visit.page.is_visible("#results")
        assert visit.page.is_hidden("#cancel")
        assert visit.page.get_attribute("#progress-text", "aria-busy") == "false"
        assert visit.text("#file-fault") == ""

    def test_a_failure_ends_it_and_is_told(self, visit: Visit) -> None:
        """A 500 isn't retried."""
        detail = [{"loc": [], "msg": "unexpected failure; its request id is 7", "type": "internal"}]
        visit.page.route("**/predict/batch", lambda route: route.fulfill(status=500, json={"detail": detail}))
        visit.choose("iris.csv", iris_csv())

        visit.predict()

        assert visit.text("#file-fault") == "Status 500: unexpected failure; its request id is 7"
        assert visit.text("#progress-text").startswith("0 of 150 rows answered")
        assert visit.page.is_hidden("#results")

    def test_what_passes_is_tried_again(self, visit: Visit) -> None:
        """A 503 is retried; a batch that is too large for a proxy is halved."""
        statuses = [503, 413]
        sizes = []

        def answer(route: Route) -> None:
            n_rows = len(json.loads(route.request.post_data or "")["data"])
            if n_rows > 4:  # else it is why the sample's answer is so
                sizes.append(n_rows)
            if statuses and n_rows > 4:
                route.fulfill(status=statuses.pop(0), json={"message": "no"})
            else:
                route.continue_()

        visit.page.route("**/predict/batch", answer)
        visit.choose("iris.csv", iris_csv())

        visit.predict()

        assert visit.text("#accuracy") == "97.3%"
        assert sizes == [150, 150, 75, 75]

    def test_a_file_can_be_dropped(self, visit: Visit) -> None:
        """On whatever part is open."""
        drop = """text => {
            const data = new DataTransfer();
            data.items.add(new File([text], "dropped.csv"));
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }"""

        visit.page.evaluate(drop, iris_csv())

        visit.page.wait_for_selector("#run:text-is('Predict 150 rows')")
        assert visit.text("#file-name") == "dropped.csv"


def iris_with(head: str, *, cells: Callable[[list[str]], list[str]] = lambda row: row) -> str:
    """Write Iris with another header, and its rows changed; the last cell of each is the species."""
    rows = rows_of(iris_csv(has_header=False))
    return head + "\n" + "".join(",".join(cells(row)) + "\n" for row in rows)


def workbook() -> bytes:
    """What Excel saves is a ZIP archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/worksheets/sheet1.xml", "<worksheet/>")
    return file.getvalue()


LABELS = ["Iris-setosa", "Iris-versicolor", "Iris-virginica"]
HEAD = ",".join(FEATURES)
GOOD: dict[str, str | bytes] = {
    "header with species": iris_csv(),
    "ids 0 to 2": iris_with(f"{HEAD},species", cells=lambda row: [*row[:4], str(SPECIES.index(row[4]))]),
    "ids in a column called target": iris_with(
        f"{HEAD},target", cells=lambda row: [*row[:4], f"{SPECIES.index(row[4])}.0"]
    ),
    "semicolons and decimal commas": iris_csv(",").replace(",", ";").replace(".", ","),
    "UTF-16": iris_csv().encode("utf-16"),
    "UTF-16 without its mark": iris_csv().encode("utf-16-le"),
    "BOM": "\ufeff" + iris_csv(),
    "an index column": "".join(f"{i - 1 if i else ''},{line}\n" for i, line in enumerate(iris_csv().splitlines())),
    "R's names of rows": "".join(f"{f'{i},' if i else ''}{line}\n" for i, line in enumerate(iris_csv().splitlines())),
    "extra columns": "".join(
        f"{'site' if not i else 'north'},{line},{'note' if not i else '7'}\n"
        for i, line in enumerate(iris_csv().splitlines())
    ),
    "reordered": "".join(",".join(reversed(row)) + "\n" for row in rows_of(iris_csv())),
    "snake_case names": iris_with("sepal_length,sepal_width,petal_length,petal_width,species"),
    "names of R": iris_with("Sepal.Length,Sepal.Width,Petal.Length,Petal.Width,Species"),
    "names of Kaggle": iris_with("SepalLengthCm,SepalWidthCm,PetalLengthCm,PetalWidthCm,Species"),
    "a separator that is named": "sep=;\n" + iris_csv(";"),
    "a separator at each end": iris_with(f"{HEAD},species", cells=lambda row: [*row, ""]),
    "labels in capitals": iris_with(f"{HEAD},species", cells=lambda row: [*row[:4], row[4].upper()]),
}  # fmt: skip


class TestKinds:
    """The right numbers, or a clear question."""

    @pytest.mark.parametrize("name", GOOD)
    def test_what_is_clear_is_judged(self, name: str, visit: Visit) -> None:
        """The same 146 of 150, and nothing asked."""
        visit.choose("iris.csv", GOOD[name])
        assert (visit.text("#file-fault"), visit.text("#bad-rows")) == ("", "")

        visit.predict()

        assert (visit.text("#accuracy"), visit.text("#accuracy-note")) == ("97.3%", "of 150 rows")

    @pytest.mark.parametrize(
        ("head", "cells", "chosen"),
        [
            ("sepal length,sepal width,petal length,PW,species", lambda row: row, "PW"),
            ("id,sepal length,sepal width,petal length", lambda row: ["9", *row[:3]], None),
            ("sepal length,sepal width,petal length,target", lambda row: [*row[:3], row[4]], None),
        ],
        ids=["renamed", "missing, with an id", "missing, with a target"],
    )
    def test_a_feature_without_a_column_is_asked_about(
        self, head: str, cells: Callable[[list[str]], list[str]], chosen: str | None, visit: Visit
    ) -> None:
        """What does match stays, and nothing is predicted until it is chosen."""
        visit.choose("iris.csv", iris_with(head, cells=cells))

        assert visit.text("#file-fault") == "No column for petal width (cm): choose one below."
        assert visit.page.is_disabled("#run")
        names = [visit.page.locator(f"#column-{index} option:checked").inner_text() for index in range(4)]
        assert names == ["sepal length", "sepal width", "petal length", NONE]
        if chosen:
            visit.page.select_option("#column-3", chosen)
            visit.predict()
            assert visit.text("#accuracy") == "97.3%"

    def test_columns_go_by_their_order_only_where_there_is_no_header(self, visit: Visit) -> None:
        """And that is said."""
        visit.choose("iris.csv", iris_csv(has_header=False))
        assert visit.text("#file-note") == "There is no header, so the columns are used in the model's order."
        assert visit.page.locator("#actual option:checked").inner_text() == "column 5"

        visit.choose("others.csv", "a,b,c,d\n5.1,3.5,1.4,0.2\n")
        missing = "sepal length (cm), sepal width (cm), petal length (cm), petal width (cm)"
        assert visit.text("#file-fault") == f"No column for {missing}: choose them below."
        assert visit.page.is_disabled("#run")
        visit.page.click("#in-order")
        visit.predict()
        assert json.loads(posts(visit)[-1]) == {"data": [[5.1, 3.5, 1.4, 0.2]]}

    def test_two_columns_of_one_name_are_asked_about(self, visit: Visit) -> None:
        """None of them is taken."""
        visit.choose("twice.csv", f"{HEAD},petal width (cm)\n5.1,3.5,1.4,0.2,0.3\n")

        assert visit.text("#file-fault") == "2 columns may be petal width (cm): choose one below."
        assert visit.page.is_disabled("#run")

    def test_labels_by_other_names_are_asked_about_and_remembered(self, visit: Visit) -> None:
        """The score is neither missing nor wrong."""
        text = iris_with(f"{HEAD},Species", cells=lambda row: [*row[:4], f"Iris-{row[4]}"])
        visit.choose("iris.csv", text)
        question = (
            "None of the values of “Species” is a label: “Iris-setosa”, “Iris-versicolor”, “Iris-virginica”. "
            "The labels are setosa, versicolor, virginica."
        )
        assert visit.text("#actual-question p") == question
        assert [visit.page.locator(f"#meaning-{i} option:checked").inner_text() for i in range(3)] == list(SPECIES)
        visit.predict()
        assert visit.page.is_hidden("#quality")  # until the labels are what they seem to be

        visit.page.click("#use-meanings")

        assert (visit.text("#accuracy"), visit.text("#accuracy-note")) == ("97.3%", "of 150 rows")
        visit.page.select_option("#meaning-2", "leave its rows out")
        visit.page.click("#use-meanings")
        assert visit.text("#accuracy-note") == "of 100 rows; 50 left out: no actual label"
        visit.page.select_option("#actual", NONE)
        assert visit.page.is_hidden("#quality")
        visit.choose("other.csv", iris_csv())
        visit.choose("iris.csv", text)
        visit.predict()
        assert visit.text("#accuracy-note") == "of 100 rows; 50 left out: no actual label"

    def test_some_values_that_are_no_label_are_told(self, visit: Visit) -> None:
        """Their rows are left out, and counted beside the accuracy."""
        text = iris_csv().replace("2.5,3.0,1.1,versicolor", "2.5,3.0,1.1,unsure").replace("2,setosa", "2,", 3)
        text = text.replace("5.1,3.3,1.7,0.5,setosa", "5.1,3.3,1.7,0.5,unsure")
        visit.choose("iris.csv", text)
        assert "1 value of “species” is not a label: “unsure”." in visit.text("#actual-question")

        visit.predict()

        assert visit.text("#accuracy-note") == "of 145 rows; 5 left out: no actual label"

    def test_passengers_with_gaps_are_predicted_and_the_named_target_is_taken(
        self, browser: Browser, passenger_url: str
    ) -> None:
        """Though another column of 0 and 1 stands before it."""
        table = passengers()
        expected = train(table).score(table[PASSENGER], table["survived"])
        with Visit.start(browser, passenger_url) as visit:
            visit.answered().choose("titanic.csv", table.to_csv(index=False))
            assert visit.page.locator("#actual option:checked").inner_text() == "survived"
            assert (visit.text("#bad-rows"), visit.text("#unseen")) == ("", "")

            visit.predict()

            assert visit.text("#accuracy") == f"{100 * expected:.1f}%"
            assert visit.text("#accuracy-note") == "of 300 rows"

            visit.choose("titanic.csv", table.drop(columns="survived").to_csv(index=False))
            visit.predict()
            assert visit.page.is_hidden("#quality")
            assert visit.text("#actual-question") == (
                "Does “alone” hold the actual labels? Its numbers fit, but the model was trained on labels called "
                "“survived”."
            )

    def test_columns_that_fit_by_their_numbers_are_asked_about(self, browser: Browser, flag_url: str) -> None:
        """Where the file doesn't name its target."""
        with Visit.start(browser, flag_url) as visit:
            visit.answered().choose("rows.csv", "feature 0,feature 1,alone,survived\n1,2,0,1\n3,4,1,0\n5,6,0,0\n")

            question = "Which column holds the actual labels? “alone” and “survived” fit by their numbers."
            assert visit.text("#actual-question") == question
            visit.predict()
            assert visit.page.is_hidden("#quality")
            visit.page.select_option("#actual", "survived")
            assert visit.text("#accuracy-note") == "of 3 rows"

    def test_rows_with_gaps_are_left_out_and_counted_where_the_model_takes_none(self, visit: Visit) -> None:
        """Beside the accuracy, with the reason."""
        lines = iris_csv().splitlines()
        lines[1:4] = [f",{line.split(',', 1)[1]}" for line in lines[1:4]]
        visit.choose("iris.csv", "\n".join(lines))
        assert visit.text("#bad-rows").startswith("3 rows can't be answered:\nline 2: “sepal length (cm)”: expected a")

        visit.predict()

        assert visit.text("#accuracy-note") == "of 147 rows; 3 left out: missing values"

    def test_a_text_that_the_encoder_ignores_is_warned_of(self, browser: Browser, passenger_url: str) -> None:
        """As a number outside of its range is, in the file, in its table and when it is tried."""
        table = passengers()[:50].assign(survived=lambda table: table["survived"])
        table.loc[0, "sex"] = "Male"
        table.loc[1, "fare"] = 9999
        with Visit.start(browser, passenger_url) as visit:
            visit.answered().choose("titanic.csv", table.to_csv(index=False))
            fares = passengers()["fare"]
            assert visit.text("#unseen").split("\n") == [
                "Outside the training data:",
                "sex: “Male” in 1 row; trained on female, male",
                f"fare: 9999 in 1 row; trained on {fares.min():.6g} to {fares.max():.6g}",
            ]
            visit.predict()
            visit.page.select_option("#order", "file")
            assert visit.texts("#table td.out") == ["Male", "9999"]
            visit.page.get_by_role("button", name="Try line 2", exact=True).click()
            visit.page.wait_for_selector("#outside:has-text('sex (female, male)')")

    def test_the_decimal_mark_can_be_chosen_where_it_is_a_guess(self, visit: Visit) -> None:
        """1,234 may be a thousand and more."""
        visit.choose("thousands.csv", f"{';'.join(FEATURES)}\n1,234;2,345;3,456;4,567\n")
        assert visit.text("#file-note").startswith("All commas are before three digits and read as decimal")

        visit.page.select_option("#mark", ".")

        assert visit.text("#bad-rows").endswith("line 2: “sepal length (cm)”: expected a number, got “1,234”")

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            (
                "iris.xlsx",
                workbook(),
                "it is a spreadsheet or an archive (.xlsx, .ods, .zip). Save it as CSV and choose that; in Excel: File, Save As, “CSV UTF-8”",
            ),
            ("empty.csv", "", "it is empty, 0 bytes"),
            (
                "one.csv",
                "sepal length (cm)\n5.1\n4.9\n",
                f"expected 4 columns ({', '.join(FEATURES)}), found one with every separator",
            ),
            ("bytes.csv", bytes(range(256)), "it isn't a text. Save it as CSV and choose that"),
        ],
        ids=["xlsx", "empty", "one column", "bytes"],
    )
    def test_what_is_no_csv_of_this_model_is_told(
        self, name: str, content: str | bytes, message: str, visit: Visit
    ) -> None:
        """In plain words, and another file can be chosen."""
        visit.choose(name, content)

        assert visit.text("#file-fault") == f"{name}: {message}"
        visit.choose("iris.csv", iris_csv())
        visit.predict()
        assert visit.text("#accuracy") == "97.3%"


@pytest.fixture(scope="module")
def passenger_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model that takes gaps and ignores texts that it doesn't know, as `model.export` writes it."""
    folder = tmp_path_factory.mktemp("passengers")
    export_passengers(folder / "titanic.onnx")
    with LocalServer.start(folder / "log", MODEL_FILEPATH=str(folder / "titanic.onnx")) as server:
        yield server.url


@pytest.fixture(scope="module")
def flag_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model of two numbers whose labels are 0 and 1, which carries nothing."""
    folder = tmp_path_factory.mktemp("flags")
    X = np.array([[1, 2], [3, 4], [5, 6], [7, 9]], dtype=np.float32)
    artifact = to_onnx(LogisticRegression().fit(X, [0, 1, 0, 1]), X[:1], options={"zipmap": False})
    (folder / "flags.onnx").write_bytes(artifact.SerializeToString())
    with LocalServer.start(folder / "log", MODEL_FILEPATH=str(folder / "flags.onnx")) as server:
        yield server.url


class TestKey:
    def test_it_asks_for_one_and_keeps_it_in_memory(self, browser: Browser, locked_url: str) -> None:
        """A wrong one is told in the service's words; nothing of it is left when the page is opened again."""
        with Visit.start(browser, locked_url) as visit:
            page = visit.page
            page.wait_for_selector("#key-form")
            assert [request.url for request in visit.requests] == [f"{locked_url}/"] * 2  # nothing asked in vain
            page.fill("#key", "wrong")
            page.press("#key", "Enter")
            page.wait_for_selector("#key-fault:not(:empty)")
            assert visit.text("#key-fault") == "Status 401: expected an accepted key, got another"

            page.fill("#key", KEY)
            page.press("#key", "Enter")
            visit.answered()

            assert page.is_hidden("#key-form")
            assert '-H "x-api-key: $API_KEY"' in visit.text("#snippet")
            assert KEY not in page.content()
            assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
            page.reload()
            page.wait_for_selector("#key-form")

    def test_all_parts_use_it(self, browser: Browser, locked_url: str) -> None:
        """Batches are as small as the service wants them; its docs can be read."""
        with Visit.start(browser, locked_url) as visit:
            visit.page.fill("#key", KEY)
            visit.page.press("#key", "Enter")
            visit.answered().choose("iris.csv", iris_csv())

            visit.predict()

            assert visit.text("#accuracy") == "97.3%"
            bodies = posts(visit)[1:]
            assert max(len(body) for body in bodies) <= 500
            assert max(len(json.loads(body)["data"]) for body in bodies) <= 40
            assert len(bodies) < 12
            visit.go("About")
            visit.page.get_by_role("link", name="Docs").click()
            visit.page.wait_for_selector(".route:has-text('/predict/batch')")
            with visit.page.expect_download() as download:
                visit.page.locator("#api").get_by_role("link", name="OpenAPI document").click()
            document = json.loads(Path(download.value.path()).read_text())
            assert document["openapi"].startswith("3.")
            assert document["servers"] == [{"url": locked_url}]

    def test_its_code_takes_it_from_the_environment(
        self, browser: Browser, locked_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So it isn't in what is copied."""
        monkeypatch.setenv("API_KEY", KEY)
        with Visit.start(browser, locked_url) as visit:
            visit.page.fill("#key", KEY)
            visit.page.press("#key", "Enter")
            curl = visit.answered().text("#snippet")

            assert json.loads(run("bash", "-c", curl.replace("curl", "curl --silent", 1)))["prediction"][0] == 0.974183


class TestAbout:
    def test_it_tells_what_is_known(self, visit: Visit, url: str) -> None:
        """Of the model, its features, its training and the service."""
        metadata = httpx2.get(f"{url}/metadata").json()

        visit.go("About")
        visit.page.wait_for_selector("#health:has-text('Health: ok, in ')")

        text = visit.text("#about")
        for fact in (metadata["model"]["sha256"], "skl2onnx", "150", "0.9467", "10,000", "1,000,000", *SPECIES):
            assert fact in text
        assert visit.texts("#about-features tbody tr")[0] == "sepal length (cm)\tfloat32\t4.3 to 7.9\t5.8\tno\t5.1"
        assert "labels from\na label file" in text
        assert "The file carries no certificate; model.export writes one." in text
        n_calls = visit.page.locator("#latency rect").count()
        assert n_calls >= 4  # the root, metadata, the sample, health; and why it is so
        visit.page.get_by_role("button", name="Check health").click()
        visit.page.locator("#latency rect").nth(n_calls).wait_for(state="attached")
        assert re.match(r"Last \d requests: median ", visit.text("#latency p"))
        assert visit.page.get_by_role("link", name="Docs").get_attribute("href") == f"{url}/docs"

    def test_a_certificate_is_shown(self, browser: Browser, passenger_url: str) -> None:
        """As `model.export` wrote it."""
        certificate = httpx2.get(f"{passenger_url}/metadata").json()["model"]["certificate"]

        with Visit.start(browser, passenger_url) as visit:
            visit.answered().go("About")
            text = visit.text("#certificate")

        assert text.startswith(f"On {certificate['rows']} rows it answers as {certificate['framework']} does: no label")
        assert f"rows with missing values\n{certificate['rows_missing']}" in text
        (difference,) = re.findall(r"largest difference\n(\S+) of a probability", text)
        assert float(difference) == float(f"{certificate['largest_difference']:.2g}")

    def test_a_failed_request_shows(self, visit: Visit) -> None:
        """In the plot, and in words."""
        visit.page.route("**/health", lambda route: route.fulfill(status=503, json={"message": "busy"}))

        visit.go("About")

        visit.page.wait_for_selector("#health:text-is('Status 503: busy')")
        assert visit.page.locator("#latency .failed").count() == 1
        assert "1 failed" in visit.text("#latency")


class TestApi:
    @pytest.mark.parametrize("has_prefix", [False, True], ids=["Gunicorn", "Lambda behind a stage"])
    def test_the_docs_name_every_route(self, browser: Browser, url: str, stage_url: str, *, has_prefix: bool) -> None:
        """With a curl that works."""
        here = stage_url if has_prefix else url
        document = httpx2.get(f"{here}/openapi.json").json()
        with Visit.start(browser, f"{here}/docs") as visit:
            visit.page.wait_for_selector(".route")
            routes = [tuple(text.split("\n")[:2]) for text in visit.texts(".route > summary")]
            declared = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
            metrics = set() if has_prefix else {("GET", "/metrics")}  # at the local server alone
            assert set(routes) == declared | metrics
            assert len(routes) == len(set(routes))
            assert visit.texts(".group") == ["Predict", "Model", "Open Inference Protocol", "Operations"]
            for number in range(len(routes)):
                visit.page.locator(".route > summary").nth(number).click()
            for curl in visit.texts(".route h4:text-is('With curl') + pre"):
                command = curl.replace("curl", "curl --silent --output /dev/null --write-out '%{http_code}'", 1)
                assert run("bash", "-c", command) == "200", curl

    def test_a_request_can_be_sent_and_its_answer_seen(self, visit: Visit) -> None:
        """Status, headers and body; of a wrong one too."""
        visit.go("API")
        route = visit.page.locator(".route", has_text="/predict/label")
        route.locator("summary").first.click()

        route.get_by_role("button", name="Send POST").click()

        route.locator(".status").wait_for()
        status, headers, body = (route.locator(f".sent > :nth-child({place})").inner_text() for place in (1, 2, 3))
        assert re.fullmatch(r"200 OK \d+\.\d ms, 23 bytes", status)
        assert {"content-type: application/json", "cache-control: no-store"} <= set(headers.split("\n"))
        assert "x-request-id: " in headers
        assert json.loads(body) == {"prediction": "setosa"}
        route.locator("textarea").fill('{"data": [[1]]}')
        route.get_by_role("button", name="Send POST").click()
        route.locator(".status.failed").wait_for()
        assert route.locator(".status").inner_text().startswith("422 ")
        assert "row 0 has 1 feature" in route.locator(".sent").inner_text()

    def test_every_route_can_be_sent(self, visit: Visit) -> None:
        """Its example, the counters too."""
        visit.go("API")
        visit.page.wait_for_selector(".route")
        for route in visit.page.locator(".route").all():
            route.locator("summary").first.click()
            route.locator(".send").click()
            route.locator(".status").wait_for()
            assert route.locator(".status").inner_text().startswith("200 "), route.inner_text()[:100]
        assert "web_single_requests_total" in visit.text(".route:has-text('/metrics')")


class TestEveryone:
    @pytest.mark.parametrize(("size", "is_dark"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "dark phone"])
    def test_axe_finds_nothing(self, browser: Browser, url: str, size: tuple[int, int], *, is_dark: bool) -> None:
        """In any part, filled."""
        with Visit.start(browser, url, size=size, is_dark=is_dark) as visit:
            visit.answered().page.fill("#feature-0", "9")
            visit.page.wait_for_selector("#outside:not(:empty)")
            for part in ("Try", "File", "About", "API"):
                visit.go(part)
                if part == "File":
                    visit.choose("iris.csv", iris_csv() + "5.1,3.5,much,0.2,setosa\n")
                    visit.predict()
                if part == "API":
                    visit.page.locator(".route > summary").nth(6).click()
                visit.page.wait_for_timeout(250)
                assert violations(visit) == ""
                assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), part

    def test_axe_finds_nothing_where_a_key_is_wanted(self, browser: Browser, locked_url: str) -> None:
        """After a wrong one."""
        with Visit.start(browser, locked_url) as visit:
            visit.page.fill("#key", "wrong")
            visit.page.press("#key", "Enter")
            visit.page.wait_for_selector("#key-fault:not(:empty)")

            assert violations(visit) == ""

    @pytest.mark.parametrize("model", ["penguins", "cancer"])
    def test_other_models_are_as_accessible(
        self, browser: Browser, penguin_url: str, cancer_url: str, model: str
    ) -> None:
        """Choices, texts, and many fields."""
        with Visit.start(browser, {"penguins": penguin_url, "cancer": cancer_url}[model], size=PHONE) as visit:
            visit.answered()

            assert violations(visit) == ""
            assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def test_the_keyboard_reaches_everything_and_shows_where_it_is(self, visit: Visit) -> None:
        """In the order of what is read."""
        reached = []
        for _ in range(18):
            visit.page.keyboard.press("Tab")
            reached.append(
                visit.page.evaluate(
                    """() => {
                        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
                        const name = document.activeElement.textContent.trim() || document.activeElement.id
                            || document.activeElement.ariaLabel;
                        return [name.slice(0, 20), outlineStyle, outlineWidth];
                    }"""
                )
            )

        names = [name for name, _, _ in reached]
        assert names[:7] == ["Try", "File", "About", "API", "Reset to the sample", "feature-0", "sepal length (cm)"]
        assert {"curl", "Python", "JavaScript", "Copy"} <= set(names)
        assert {(style, width) for _, style, width in reached[:-1]} == {("solid", "2px")}

    def test_an_answer_is_spoken_once_it_has_settled(self, visit: Visit) -> None:
        """By a live region."""
        visit.page.wait_for_selector("#spoken:text-is('setosa, 97.4%')")

        assert visit.page.get_attribute("#spoken", "role") == "status"

    @pytest.mark.parametrize("end", ["", "/", "/?x=1", "/#file"])
    def test_a_prefix_doesnt_matter(self, browser: Browser, stage_url: str, end: str) -> None:
        """Nor how the address ends; by the Lambda handler, compressed."""
        with Visit.start(browser, f"{stage_url}{end}") as visit:
            visit.page.wait_for_selector("#label:not(:empty)", state="attached")
            visit.choose("iris.csv", iris_csv())

            visit.predict()

            assert visit.text("#accuracy") == "97.3%"
            assert all(request.url.startswith(stage_url) for request in visit.requests if "blob:" not in request.url)

    def test_it_is_kept_between_visits(self, browser: Browser, url: str) -> None:
        """The second one is answered 304, which the browser makes a 200 of its own again."""
        with Visit.start(browser, url) as visit:
            visit.answered()
            sizes = []
            visit.page.on("response", lambda response: sizes.append((response.url, response.request)))
            visit.page.goto(f"{url}/?again")
            visit.page.goto(url)
            visit.answered()
            navigation = visit.page.evaluate("performance.getEntriesByType('navigation')[0].transferSize")

            assert navigation < 2000
            assert sizes


def violations(visit: Visit) -> str:
    found: Any = Axe().run(visit.page)
    return found.generate_report() if found.violations_count else ""


def test_breast_cancer_is_judged_without_names(browser: Browser, cancer_url: str) -> None:
    """30 columns by their order, the labels in the last one."""
    data = load_breast_cancer()
    text = "".join(
        ",".join([*map(str, row), str(true)]) + "\n" for row, true in zip(data.data, data.target, strict=True)
    )
    with Visit.start(browser, cancer_url) as visit:
        visit.answered().choose("cancer.csv", text)

        visit.predict()

        assert float(visit.text("#accuracy").removesuffix("%")) > 98


def test_a_feature_that_looks_like_a_label_is_asked_about(browser: Browser, cancer_url: str) -> None:
    """Where the labels are 0 and 1."""
    with Visit.start(browser, cancer_url) as visit:
        visit.answered().choose("cancer.csv", "1,0,1" + ",5" * 27 + ",1\n" + "0,1,0" + ",6" * 27 + ",0\n")

        question = "Which column holds the actual labels? “column 1” and “column 2” and “column 3” and “column 31” fit"
        assert visit.text("#actual-question") == f"{question} by their numbers."
        assert visit.page.is_disabled("#run")
        visit.page.select_option("#actual", "column 31")
        visit.page.click("#in-order")
        assert [visit.page.input_value(f"#column-{index}") for index in range(30)] == list(map(str, range(30)))
        visit.predict()
        assert visit.text("#accuracy-note") == "of 2 rows"


@pytest.fixture(scope="module")
def kind_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model as people have it, without a word about its features."""
    folder = tmp_path_factory.mktemp("kind")
    path = folder / "kind.onnx"
    kind = KINDS[request.param]() if request.param in KINDS else GAPS[request.param]().kind
    path.write_bytes(kind.artifact)
    with LocalServer.start(folder / "log", MODEL_FILEPATH=str(path)) as server:
        yield server.url


@pytest.mark.parametrize("kind_url", ["threshold 0.1, int64"], indirect=True)
def test_the_label_is_the_models_own(browser: Browser, kind_url: str) -> None:
    """Not that of the highest probability, for one row and for a file."""
    kind = KINDS["threshold 0.1, int64"]()
    index = next(index for index, row in enumerate(kind.probabilities) if row[0] > row[1] and kind.labels[index] == "1")
    with Visit.start(browser, kind_url) as visit:
        visit.answered()
        for place, value in enumerate(kind.rows[index]):
            visit.page.fill(f"#feature-{place}", str(value))
        wait_for_label(visit, "1")
        rows = [",".join([*map(str, row), label]) + "\n" for row, label in zip(kind.rows, kind.labels, strict=True)]

        visit.choose("rows.csv", "".join(rows))
        visit.predict()

        assert visit.text("#accuracy") == "100.0%"


@pytest.mark.parametrize("kind_url", ["half of the columns"], indirect=True)
def test_missing_values_may_be_left_empty(browser: Browser, kind_url: str) -> None:
    """In the columns that take them: a field, and cells of a file; in the others they are told."""
    with Visit.start(browser, kind_url) as visit:
        with visit.answered().page.expect_response(
            lambda response: "[[null" in (response.request.post_data or "")
        ) as found:
            visit.page.fill("#feature-0", "")
        assert found.value.request.post_data_json == {"data": [[None, 0, 0, 0, 0, 0]]}
        assert visit.text("#try-fault") == ""
        assert "[[null, 0, 0, 0, 0, 0]]" in visit.text("#snippet")

        visit.page.fill("#feature-5", "")

        visit.page.wait_for_selector("#try-fault:has-text('feature 5: expected a number')")
        visit.choose("rows.csv", "a,b,c,d,e,f\n,NA,1,2,3,4\n1,2,3,,5,6\n")
        assert visit.text("#file-fault").startswith("No column for feature 0, feature 1, ")
        visit.page.click("#in-order")
        assert (
            visit.text("#bad-rows") == "1 row can't be answered:\nline 3: “feature 3”: expected a number, got nothing"
        )
        visit.predict()
        assert json.loads(posts(visit)[-1]) == {"data": [[None, None, 1, 2, 3, 4]]}


@pytest.mark.parametrize("kind_url", ["input of bool"], indirect=True)
def test_booleans_are_chosen(browser: Browser, kind_url: str) -> None:
    """And read from a file as true or false."""
    with Visit.start(browser, kind_url) as visit:
        visit.answered()
        assert visit.texts("#feature-0 option") == ["true", "false"]
        visit.page.select_option("#feature-0", "true")
        visit.answered()
        assert json.loads(posts(visit)[-1]) == {"data": [[True, False]]}

        visit.choose("rows.csv", "True,FALSE\nyes,true\n")

        assert (
            visit.text("#bad-rows")
            == "1 row can't be answered:\nline 2: “feature 0”: expected true or false, got “yes”"
        )
        visit.predict()
        assert json.loads(posts(visit)[-1]) == {"data": [[True, False]]}
