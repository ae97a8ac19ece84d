"""Drift: the facts about the training data's bins, the counting of rows in them, and both exporters."""

import dataclasses
import json
import math
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from starlette.testclient import TestClient

from function.api.app import create_app
from function.classifier import Classifier, load, load_bytes
from function.classifier.inputs import Arrays, to_arrays
from function.classifier.model import Columns, Input
from function.errors import ArtifactError
from function.observability.bins import MOST_FEATURES, WINDOW, Watch, Window
from function.settings import Settings
from model import artifact
from model.bins import find_bins
from model.export import export
from model.facts import _feature
from tests.support.entry_points import AccessLines
from tests.support.models import penguins as penguins_without_facts

SEED = 0
ALARM = float(
    re.findall(r"DriftThreshold:\n    Type: Number\n    Default: (\S+)\n", Path("template.yaml").read_text())[0]
)


def of_columns(classifier: Classifier, columns: NDArray[np.float64], type: str = "float32") -> Classifier:
    """A classifier that knows of its features what these columns say, its own session beside it."""
    features = tuple(
        _feature(f"feature {place}", [None if math.isnan(value) else value for value in values], type, math.nan)
        for place, values in enumerate(columns.T.tolist())
    )
    inputs = (Input("features", type, len(features)),)
    known = Columns(inputs, features, (math.nan,) * len(features))
    return Classifier(classifier.session, dataclasses.replace(classifier.model, columns=known))


@pytest.fixture(scope="module")
def birds() -> pd.DataFrame:
    """344 penguins with gaps: numbers, texts, and a boolean of our own."""
    table = pd.read_csv(files("palmerpenguins") / "data" / "penguins.csv")
    return table.assign(is_late=table["year"] > 2007)


@pytest.fixture(scope="module")
def penguins(birds: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A model of all of them, exported and loaded."""
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["bill_length_mm", "body_mass_g", "year"]),
        (
            make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
            ["island", "sex"],
        ),
        ("passthrough", ["is_late"]),
    )
    X = birds.drop(columns=["species", "bill_depth_mm", "flipper_length_mm"])
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(X, birds["species"])
    path = tmp_path_factory.mktemp("penguins") / "penguins.onnx"
    export(model, X, birds["species"], path)
    return load(path)


@pytest.fixture(scope="module")
def rows(penguins: Classifier, birds: pd.DataFrame) -> list[list[Any]]:
    names = [feature.name for feature in penguins.model.features]
    return [[None if pd.isna(value) else value for value in row] for row in birds[names].to_numpy().tolist()]


def count(classifier: Classifier, arrays: Arrays) -> dict[str, dict[str, int]]:
    """Feature -> bin -> rows."""
    watch = Watch(classifier.model)
    found = watch.count(arrays)
    return watch.describe([found.get(place, 0) for place in range(len(watch.names))])


def test_the_training_data_is_counted_as_its_facts_say(
    penguins: Classifier, rows: list[list[Any]], birds: pd.DataFrame
) -> None:
    """Numbers in tenths, as pandas cuts them; gaps, texts and booleans."""
    found = count(penguins, to_arrays(penguins.model.columns, rows))

    for feature in penguins.model.features:
        if feature.edges is not None:
            bins = pd.cut(birds[feature.name], [-math.inf, *feature.edges, math.inf])
            *within, n_missing = feature.counts or ()
            assert within == bins.value_counts(sort=False).tolist()
            assert n_missing == birds[feature.name].isna().sum()
            assert list(found[feature.name].values()) == [n_rows for n_rows in (*within, n_missing) if n_rows]
    assert all(25 < n_rows < 45 for name, n_rows in found["body_mass_g"].items() if name != "missing")
    assert found["island"] == {"= Biscoe": 168, "= Dream": 124, "= Torgersen": 52}
    assert found["sex"] == {"= male": 168, "= female": 165, "missing": 11}
    assert list(found["year"].values()) == [110, 114, 120]
    assert found["is_late"] == {"= true": 234, "= false": 110}


def test_few_rows_are_counted_as_many_are(penguins: Classifier, rows: list[list[Any]]) -> None:
    """One by one, or in one pass of NumPy."""
    watch, columns = Watch(penguins.model), penguins.model.columns

    alone = [watch.count(to_arrays(columns, [row])) for row in rows]

    together = watch.count(to_arrays(columns, rows))
    assert together == {place: sum(found.get(place, 0) for found in alone) for place in together}
    assert all(len(found) == len(watch.bins) for found in alone)


@pytest.mark.parametrize("n_rows", [1, 1000])
def test_what_the_training_data_never_had_has_bins_of_its_own(n_rows: int, penguins: Classifier) -> None:
    """Values beyond its ranges, unknown texts, and missing values where none were missing."""
    columns = penguins.model.columns
    row = {"island": "Anticosti", "bill_length_mm": 1.0, "body_mass_g": 1e6, "sex": None, "year": None, "is_late": True}

    found = count(penguins, to_arrays(columns, [[row[feature.name] for feature in columns.features]] * n_rows))

    assert found == {
        "island": {"another": n_rows},
        "bill_length_mm": {"< 32.1": n_rows},
        "body_mass_g": {"> 6300": n_rows},
        "sex": {"missing": n_rows},
        "year": {"missing": n_rows},
        "is_late": {"= true": n_rows},
    }


@pytest.mark.parametrize("type", ["float16", "float32", "float64", "int64"])
def test_numbers_fall_into_the_bins_that_they_were_counted_in(type: str, classifier: Classifier) -> None:
    """As the model's input rounds them; those at the ends of the range too."""
    generator = np.random.default_rng(SEED)
    values = generator.normal(1000, 3, (500, 1)).round(3) if type != "int64" else generator.integers(0, 40, (500, 1))
    known = of_columns(classifier, values.astype(np.float64), type)

    found = Watch(known.model).count([values.astype(type)])

    assert list(found) == list(range(1, len(found) + 1))  # none below, above or missing
    assert tuple(found.values()) == (known.model.features[0].counts or ())[:-1]


@pytest.mark.parametrize(
    ("values", "type", "choice", "edges", "counts"),
    [
        ([*range(1, 101)], "float32", None, tuple(float(end) + 0.5 for end in range(10, 100, 10)), (*[10] * 10, 0)),
        ([7.0] * 5, "float32", None, (), (5, 0)),
        ([None, None], "float32", None, None, None),
        ([0.0, 1.0, 1.0, None], "float32", None, (0.8,), (1, 2, 1)),
        ([True, False, True], "bool", None, None, (1, 2, 0)),
        (["b", "a", "b", None], "string", ("a", "b"), None, (1, 2, 1)),
        (["some", "free", "text"], "string", None, None, None),
        ([-1e308, 1e308], "float64", None, (-5e307,), (1, 1, 0)),
    ],
    ids=["tenths", "one value", "no value", "two values", "booleans", "texts", "free texts", "the largest"],
)
def test_every_kind_of_column_has_its_bins(values: list[Any], type: str, choice: Any, edges: Any, counts: Any) -> None:
    """Tenths of numbers, each text of a choice, false and true; and one for what is missing."""
    assert find_bins(values, type, choice) == (edges, counts)


DATASETS = {
    "iris": lambda: load_iris().data,
    "wine": lambda: load_wine().data,
    "breast cancer": lambda: load_breast_cancer().data,
    "digits": lambda: load_digits().data[:, :MOST_FEATURES],
}


def made_up() -> NDArray[np.float64]:
    """Columns that tenths don't suit: skewed, heavy tails, rare ones, mostly zero, few values, gaps."""
    generator, n = np.random.default_rng(SEED), 2000
    gaps = np.where(generator.random(n) < 0.1, math.nan, generator.normal(size=n))
    zeros = np.where(generator.random(n) < 0.9, 0, generator.exponential(1e4, n))
    rare, common = (generator.random(n) < share for share in (0.01, 0.97))
    columns = [generator.lognormal(0, 2, n), generator.standard_cauchy(n), rare, common, zeros, gaps]
    three = generator.choice([0, 1, 2], n, p=[0.1, 0.8, 0.1])
    return np.column_stack([*columns, generator.integers(0, 4, n), three]).astype(np.float64)


@pytest.mark.parametrize("name", [*DATASETS, "made up"])
class TestAlarm:
    """An alarm at what `template.yaml` says, for a window of WINDOW rows."""

    @pytest.fixture
    def data(self, name: str) -> NDArray[np.float64]:
        data = made_up() if name == "made up" else DATASETS[name]()
        return np.asarray(data[:, np.nanstd(data, axis=0) > 0])

    def drift(self, known: Classifier, rows: NDArray[np.float64]) -> list[float]:
        watch = Watch(known.model)
        found = Window(watch).add(watch.count([rows.astype(np.float32)]), len(rows))
        assert found is not None
        return list(found.indexes.values())

    def test_resamples_of_the_training_data_hardly_ever_alarm(
        self, data: NDArray[np.float64], classifier: Classifier
    ) -> None:
        """Less than one in a hundred, whichever of all the features it would be."""
        known, generator = of_columns(classifier, data), np.random.default_rng(SEED)

        drifts = [max(self.drift(known, data[generator.integers(0, len(data), WINDOW)])) for _ in range(1000)]

        assert sum(drift >= ALARM for drift in drifts) < 10

    @pytest.mark.parametrize("way", [1, -1])
    def test_a_shift_by_one_standard_deviation_always_alarms(
        self, way: int, data: NDArray[np.float64], classifier: Classifier
    ) -> None:
        """Of any single feature, in each of a hundred samples."""
        known, generator = of_columns(classifier, data), np.random.default_rng(SEED)
        shift = way * np.nanstd(data, axis=0)

        drifts = [self.drift(known, data[generator.integers(0, len(data), WINDOW)] + shift) for _ in range(100)]

        assert np.min(drifts) >= ALARM


def psi(found: dict[str, int], expected: dict[str, float]) -> float:
    """The index as its definition has it."""
    n_rows, total = sum(found.values()), 0.0
    for name, of_training in expected.items():
        a, e = max(found.get(name, 0) / n_rows, 0.001), max(of_training, 0.001)
        total += (a - e) * math.log(a / e)
    return total


class TestEMF:
    def test_the_250th_row_brings_the_index(
        self, penguins: Classifier, rows: list[list[Any]], access_lines: AccessLines
    ) -> None:
        """Of each feature, with the counts that it is of, and the largest for the alarm, by the stack alone."""
        client = TestClient(create_app(Settings.load({"METRICS": "EMF"}), penguins))
        for _ in range(2):
            assert client.post("/predict/batch", json={"data": rows[:249]}).status_code == 200
            assert client.post("/predict", json={"data": rows[249:250]}).status_code == 200

        first, line, second, again = access_lines()

        assert not [name for name in (*first, *second) if name.startswith(("drift", "bins"))]
        watch = Watch(penguins.model)
        expected = {
            bins.feature: psi(line["bins"][bins.feature], dict(zip(bins.names, bins.expected, strict=True)))
            for bins in watch.bins
        }
        assert {name: line[f"drift_{name}"] for name in expected} == pytest.approx(expected)
        assert line["drift"] == pytest.approx(max(expected.values()))
        assert all(sum(counts.values()) == 250 for counts in line["bins"].values())
        assert (again["bins"], again["drift"]) == (line["bins"], line["drift"])
        *_, of_stack, of_features = line["_aws"]["CloudWatchMetrics"]
        assert of_stack["Dimensions"] == [["stack"]]
        assert of_stack["Metrics"] == [{"Name": "drift", "Unit": "None"}]
        assert of_features["Dimensions"] == [["stack", "model", "digest"]]
        assert of_features["Metrics"] == [{"Name": f"drift_{name}", "Unit": "None"} for name in expected]

    def test_a_model_without_such_facts_has_no_drift(self, access_lines: AccessLines) -> None:
        """Nothing is made up."""
        brought = penguins_without_facts()
        classifier = load_bytes(brought.artifact, name="penguins")
        client = TestClient(create_app(Settings.load({"METRICS": "EMF"}), classifier))
        assert client.post("/predict/batch", json={"data": brought.rows}).status_code == 200

        (line,) = access_lines()

        assert len(brought.rows) > WINDOW
        assert not [name for name in line if name.startswith(("drift", "bins"))]


def test_prometheus_counts_the_same(penguins: Classifier, rows: list[list[Any]]) -> None:
    """Beside the shares that are expected."""
    client = TestClient(create_app(Settings.load({"METRICS": "PROMETHEUS"}), penguins))
    client.post("/predict/batch", json={"data": rows})
    client.post("/predict", json={"data": rows[:1]})
    text = client.get("/metrics").text

    def read(metric: str) -> dict[tuple[str, str], float]:
        pattern = rf'^web_single_{metric}{{bin="(.*)",digest="{penguins.model.sha256[:12]}",feature="(.*)"}} (.*)$'
        return {(feature, name): float(value) for name, feature, value in re.findall(pattern, text, re.MULTILINE)}

    watch = Watch(penguins.model)
    found = watch.count(to_arrays(penguins.model.columns, [*rows, rows[0]]))
    shares = [share for bins in watch.bins for share in bins.expected]
    assert read("feature_rows_total") == {name: found.get(place, 0) for place, name in enumerate(watch.names)}
    assert read("feature_share") == dict(zip(watch.names, shares, strict=True))


def test_what_is_watched_is_bounded(classifier: Classifier) -> None:
    """The first 50 features, of numbers 13 bins, of texts the ten commonest; whatever is sent."""
    known = of_columns(classifier, np.random.default_rng(SEED).normal(size=(100, 60)))
    assert [bins.feature for bins in Watch(known.model).bins] == [f"feature {place}" for place in range(50)]
    assert {len(bins.names) for bins in Watch(known.model).bins} == {13}
    texts = [f"text {place}" for place in range(30) for _ in range(place + 2)]
    feature = _feature("word", texts, "string", None)
    model = dataclasses.replace(classifier.model, columns=Columns((Input("word", "string", 1),), (feature,), (None,)))
    watch = Watch(model)

    for sent in (["text 29", "text 0", "new"], [f"new {place}" for place in range(1000)]):
        found = count(Classifier(classifier.session, model), [np.array([[text] for text in sent], dtype=object)])
        assert found == {"word": {"= text 29": 1, "another": 2} if len(sent) == 3 else {"another": 1000}}

    assert [name for _, name in watch.names] == [
        *(f"= text {place}" for place in range(29, 19, -1)),
        "another",
        "missing",
    ]
    assert watch.bins[0].expected[-2] == pytest.approx(sum(range(2, 22)) / len(texts))


@pytest.mark.parametrize(
    "wrong",
    [{"counts": (1, 2)}, {"edges": (3.0, 2.0), "counts": (1, 1, 1, 0)}, {"edges": (0.0,), "counts": (1, 1, 0)},
     {"min": None, "counts": (1, 0)}, {"edges": (), "counts": (0, 0)}],
    ids=["too few", "edges that fall", "an edge below the range", "no range", "no rows"],
)  # fmt: skip
def test_counts_of_other_bins_are_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    """At the start, by the feature's name."""
    model = artifact.read(Path("model/iris_svc.onnx"))
    facts = artifact.read_facts(model)
    first, *others = facts.features or ()
    changed = facts.model_copy(update={"features": (first.model_copy(update=wrong), *others)})
    path = tmp_path / "iris.onnx"
    path.write_bytes(artifact.write(model, changed))

    with pytest.raises(ArtifactError) as error:
        load(path)

    assert str(error.value) == (
        f'{path}: its facts count "sepal length (cm)" in other bins than its own; write the facts again'
    )


def test_metadata_tells_no_counts(client: TestClient) -> None:
    """Of the training data's rows."""
    assert json.loads(client.get("/metadata").content)["features"][0] == {
        "name": "sepal length (cm)",
        "type": "float32",
        "min": 4.3,
        "max": 7.9,
        "median": 5.8,
    }
