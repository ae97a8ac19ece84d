"""`model.export`: a trained model becomes an artifact that answers as its framework does, or a line says why not."""

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from catboost import CatBoost, CatBoostClassifier
from numpy.typing import NDArray
from palmerpenguins import load_penguins
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.semi_supervised import LabelPropagation
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from starlette.testclient import TestClient
from xgboost import XGBClassifier, XGBRegressor

from function.api.app import create_app
from function.classifier import Classifier, load
from function.classifier.facts import Certificate
from function.classifier.missing import MISSING_TEXT
from function.errors import ArtifactError, FeaturesError
from function.settings import Settings, shipped_model
from model.export import export
from model.frames import read_pickle
from tests.support.command import run as command
from tests.support.entry_points import ROOT

TOLERANCE = 1e-5  # float32's 7 digits, less what the sums of a model lose
SEED = 0
NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
TEXTS = ["island", "sex"]


@pytest.fixture(scope="module")
def penguins() -> pd.DataFrame:
    """344 penguins, of which 11 lack something: numbers, texts, whole numbers, and a boolean of our own."""
    table = pd.read_csv(files("palmerpenguins") / "data" / "penguins.csv")
    return table.assign(is_late=table["year"] > 2007)


@pytest.fixture(scope="module")
def titanic() -> pd.DataFrame:
    """Made up in the shape of the Titanic's passengers: gaps in numbers and texts, whole numbers, columns of no use."""
    random, n = np.random.default_rng(SEED), 400
    table = pd.DataFrame(
        {
            "PassengerId": np.arange(n),
            "Pclass": random.integers(1, 4, n),
            "Name": [f"Passenger {index}" for index in range(n)],
            "Sex": random.choice(["male", "female"], n),
            "Age": random.normal(30, 12, n).round(1),
            "SibSp": random.integers(0, 4, n),
            "Fare": random.lognormal(3, 1, n).round(4),
            "Embarked": random.choice(["S", "C", "Q"], n),
            "Cabin": random.choice(["A", "B", "C"], n),
        }
    )
    score = (table["Sex"] == "female") * 2 - table["Pclass"] + random.normal(0, 1, n)
    for column, share in {"Age": 0.2, "Fare": 0.01, "Embarked": 0.02, "Cabin": 0.7}.items():
        table.loc[random.random(n) < share, column] = None
    return table.assign(Survived=(score > -1).astype(int))


def prepare(texts: Any, numbers: Any = None) -> ColumnTransformer:
    """What people write before a classifier of penguins."""
    numbers = numbers or make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return ColumnTransformer([("numbers", numbers, NUMBERS), ("texts", texts, TEXTS)])


def check(model: Any, X: Any, y: Any, path: Path, **options: Any) -> tuple[Classifier, Certificate]:
    """Export a trained model, and compare the service's answers with the framework's, with null for missing values."""
    certificate = export(model, X, y, path, **options)
    classifier = load(path)
    rows = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
    taken = rows[[feature.name for feature in classifier.model.features]] if rows is X else rows
    values = [[None if pd.isna(value) else value for value in row] for row in taken.to_numpy(dtype=object).tolist()]
    found = classifier.predict(values)
    assert np.abs(found - model.predict_proba(X)).max() <= TOLERANCE
    labels = dict(zip(map(str, model.classes_), classifier.model.labels, strict=True))
    assert classifier.predict_label(values) == [labels[str(label)] for label in np.ravel(model.predict(X))]
    assert certificate == classifier.model.certificate
    assert not classifier.model.signature.is_zipmap
    assert (certificate.rows, certificate.labels_differ) == (len(rows), 0)
    assert certificate.rows_missing == int(taken.isna().any(axis=1).sum())
    return classifier, certificate


def test_from_a_notebook_to_a_route(titanic: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Texts and numbers with gaps, imputed; columns that the model drops aren't asked for; the file tells it all."""
    X, y = titanic.drop(columns="Survived"), titanic["Survived"]
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = make_column_transformer((numbers, ["Age", "Fare", "Pclass", "SibSp"]), (texts, ["Sex", "Embarked"]))
    model = make_pipeline(columns, LogisticRegression()).fit(X, y)
    path = tmp_path / "titanic.onnx"

    classifier, certificate = check(model, X, y, path)

    n_missing = int(X[["Age", "Fare", "Embarked"]].isna().any(axis=1).sum())
    share = model.score(X, y)
    assert capsys.readouterr().out == (
        f"{path}: described 6 features and the labels 0, 1 from 400 rows of 400, {n_missing} of them with missing values, "
        f"{share:.2%} of them labelled correctly; 400 rows compared with scikit-learn {version('scikit-learn')}: largest "
        f"difference {certificate.largest_difference:.2g}, 0 labels differ\n"
    )
    assert (certificate.framework, certificate.tolerance) == (f"scikit-learn {version('scikit-learn')}", 1e-5)
    assert [(feature.name, feature.values, feature.missing) for feature in classifier.model.features] == [
        ("Pclass", None, None),
        ("Sex", ("female", "male"), None),
        ("Age", None, True),
        ("SibSp", None, None),
        ("Fare", None, True),
        ("Embarked", ("C", "Q", "S"), True),
    ]
    gap = X["Age"].isna() & X["Embarked"].notna()
    row = json.loads(X[gap].iloc[[0]].to_json(orient="records"))[0]
    answer = TestClient(create_app(Settings(), classifier)).post(
        "/predict", json={"data": [{name: row[name] for name in ("Pclass", "Sex", "Age", "SibSp", "Fare", "Embarked")}]}
    )
    assert answer.status_code == 200
    assert answer.json()["prediction"] == pytest.approx(model.predict_proba(X[gap].iloc[[0]])[0], abs=TOLERANCE)


ENCODERS: dict[str, Callable[[], Any]] = {
    "OneHotEncoder": OneHotEncoder,
    "OneHotEncoder, drop": lambda: OneHotEncoder(drop="if_binary"),
    "OneHotEncoder, rare": lambda: OneHotEncoder(min_frequency=60, handle_unknown="infrequent_if_exist"),
    "OrdinalEncoder": OrdinalEncoder,
    "OrdinalEncoder, unknown": lambda: OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
    ),
    "SimpleImputer, a text": lambda: make_pipeline(
        SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder()
    ),
}


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_gaps_in_texts_are_what_the_encoder_makes_of_them(
    encoder: Callable[[], Any], penguins: pd.DataFrame, tmp_path: Path
) -> None:
    """As a category of their own, as a code, or filled."""
    model = make_pipeline(prepare(encoder()), HistGradientBoostingClassifier(max_iter=10, random_state=SEED))
    y = penguins["sex"].fillna("unknown")  # what the model then has to look at

    classifier, _ = check(model.fit(penguins, y), penguins, y, tmp_path / "penguins.onnx")

    (sex,) = (feature for feature in classifier.model.features if feature.name == "sex")
    assert (sex.values, sex.missing, sex.missing_text) == (("female", "male"), True, MISSING_TEXT)


@pytest.mark.parametrize("is_complete", [False, True])
@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
def test_neighbours_have_the_same_gaps_as_other_models(
    strategy: str, penguins: pd.DataFrame, tmp_path: Path, *, is_complete: bool
) -> None:
    """In their files a loop compares rows, after the nodes that fill the gaps; ALLOW_MISSING changes nothing."""
    y, path = penguins["sex"].fillna("unknown"), tmp_path / "penguins.onnx"
    trained = penguins.dropna().index if is_complete else penguins.index
    texts = make_pipeline(
        SimpleImputer(strategy=strategy, fill_value="missing"), OneHotEncoder(handle_unknown="ignore")
    )
    model = make_pipeline(prepare(texts), KNeighborsClassifier(15)).fit(penguins.loc[trained], y[trained])

    check(model, penguins.loc[trained], y[trained], path)

    rows = penguins[[feature.name for feature in load(path).model.features]]
    values = rows.astype(object).where(rows.notna(), None).to_numpy().tolist()
    for allow_missing in (False, True):
        classifier = load(path, allow_missing=allow_missing)
        fills = dict(zip(rows, classifier.model.columns.fills, strict=True))
        assert [fills[name] for name in TEXTS] == [MISSING_TEXT] * len(TEXTS)
        assert np.abs(classifier.predict(values) - model.predict_proba(penguins)).max() <= TOLERANCE


HOTS: dict[str, Callable[[], Any]] = {
    "ignore": lambda: OneHotEncoder(handle_unknown="ignore"),
    "ignore, rare, drop": lambda: OneHotEncoder(handle_unknown="ignore", min_frequency=60, drop="first"),
    "if_exist": lambda: OneHotEncoder(handle_unknown="infrequent_if_exist"),
    "if_exist, min_frequency": lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=60),
    "if_exist, max_categories": lambda: OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=2, dtype=int
    ),
    "if_exist, drop": lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=60, drop="first"),
    "if_exist, dense": lambda: OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=60, sparse_output=False
    ).set_output(transform="pandas"),
    "error": OneHotEncoder,
    "error, rare, drop": lambda: OneHotEncoder(min_frequency=60, drop="if_binary"),
}


@pytest.mark.filterwarnings("ignore:Found unknown categories:UserWarning")
@pytest.mark.parametrize("is_imputed", [False, True])
@pytest.mark.parametrize("make", HOTS.values(), ids=HOTS)
def test_an_unknown_category_is_what_the_encoder_makes_of_it(
    make: Callable[[], Any],
    is_imputed: bool,  # noqa: FBT001
    penguins: pd.DataFrame,
    tmp_path: Path,
) -> None:
    """None, a rare one, or refused; so is an empty text, which isn't a missing one, and a number between others."""
    X = penguins[["island", "year", "sex"]].assign(year=penguins["year"] - 2007.5)
    imputers = [SimpleImputer(strategy="most_frequent")] * is_imputed
    columns = make_column_transformer(
        (make_pipeline(*imputers, make()), ["island", "sex"]), (make_pipeline(*imputers, make()), ["year"])
    )
    model = make_pipeline(columns, LogisticRegression()).fit(X, penguins["species"])

    classifier, _ = check(model, X, penguins["species"], tmp_path / "x.onnx")

    rows: list[list[Any]] = [
        ["Dream", 0.5, ""], ["", 0.5, "male"], ["Anticosti", 1.5, None], ["Torgersen", 0.75, "female"]
    ]  # fmt: skip
    for row in rows:
        try:
            wanted = model.predict_proba(pd.DataFrame([row], columns=X.columns).fillna(np.nan))
        except ValueError:
            with pytest.raises(FeaturesError, match=r"^row 0, .*, got another value$"):
                classifier.predict([row])
        else:
            assert classifier.predict([row]) == pytest.approx(wanted, abs=TOLERANCE)


def test_an_empty_text_may_be_a_category_beside_missing_ones(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """In JSON and its lines; the empty cell of a CSV is that category too, for the model knows it."""
    X = penguins[["island", "sex"]].astype(object)
    X.loc[::9, "sex"] = ""
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(X, penguins["species"])

    classifier, _ = check(model, X, penguins["species"], tmp_path / "x.onnx")

    rows: list[list[Any]] = [["Dream", ""], ["Dream", None]]
    found = classifier.predict(rows)
    assert found == pytest.approx(
        model.predict_proba(pd.DataFrame(rows, columns=X.columns).fillna(np.nan)), abs=TOLERANCE
    )
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_a_text_that_the_encoder_refuses_is_refused(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """ONNX's LabelEncoder alone would give it a code."""
    model = make_pipeline(prepare(OrdinalEncoder()), HistGradientBoostingClassifier(max_iter=10, random_state=SEED))
    classifier, _ = check(model.fit(penguins, penguins["species"]), penguins, penguins["species"], tmp_path / "x.onnx")
    client = TestClient(create_app(Settings(), classifier))

    answer = client.post("/predict", json={"data": [["Anticosti", 39.1, 18.7, 181, 3750, "male"]]})

    assert answer.json()["detail"][0]["msg"] == (
        'row 0, "island": expected one of Biscoe, Dream, Torgersen, got another value'
    )


def lightgbm() -> Any:
    try:
        from lightgbm import LGBMClassifier  # noqa: PLC0415 - it wants a library of the system
    except OSError as error:
        pytest.skip(f"LightGBM can't be imported: {error}")
    return LGBMClassifier(n_estimators=10, verbose=-1, random_state=SEED)


ESTIMATORS: dict[str, Callable[[], Any]] = {
    "HistGradientBoosting": lambda: HistGradientBoostingClassifier(max_iter=20, random_state=SEED),
    "SimpleImputer, add_indicator": lambda: make_pipeline(
        SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression()
    ),
    "GridSearchCV": lambda: GridSearchCV(
        make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1]}
    ),
    "XGBoost": lambda: XGBClassifier(n_estimators=10, random_state=SEED),
    "CatBoost": lambda: CatBoostClassifier(iterations=10, verbose=False, allow_writing_files=False, random_seed=SEED),
    "LightGBM": lightgbm,
}


@pytest.mark.parametrize("as_array", [False, True], ids=["DataFrame", "array"])
@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=ESTIMATORS)
def test_gaps_in_numbers_are_what_the_model_makes_of_them(
    make: Callable[[], Any], as_array: bool, penguins: pd.DataFrame, tmp_path: Path  # noqa: FBT001
) -> None:  # fmt: skip
    """In one matrix, each column with its name."""
    X = penguins[NUMBERS].mask(np.random.default_rng(SEED).random((len(penguins), 4)) < 0.1)
    y = penguins["species"].map({"Adelie": 0, "Chinstrap": 1, "Gentoo": 2}).rename("y")
    X = X.to_numpy() if as_array else X
    model = make().fit(X, y)

    classifier, _ = check(model, X, y, tmp_path / "penguins.onnx")

    (input,) = classifier.model.columns.inputs
    compares_double = type(model).__name__ in ("HistGradientBoostingClassifier", "LGBMClassifier")
    assert (input.type, input.width) == ("float64" if compares_double else "float32", 4)
    names = [f"feature {place}" for place in range(4)] if as_array else NUMBERS
    assert [(feature.name, feature.missing) for feature in classifier.model.features] == [
        (name, True) for name in names
    ]


LOST: dict[str, Callable[[], Any]] = {
    "RandomForest": lambda: RandomForestClassifier(20, random_state=SEED),
    "ExtraTrees": lambda: ExtraTreesClassifier(20, random_state=SEED),
    "DecisionTree": lambda: DecisionTreeClassifier(max_depth=3, random_state=SEED),
    "Bagging": lambda: BaggingClassifier(n_estimators=3, random_state=SEED),
}


@pytest.mark.parametrize("make", LOST.values(), ids=LOST)
def test_forests_that_lose_their_gaps_are_refused(
    make: Callable[[], Any], penguins: pd.DataFrame, tmp_path: Path
) -> None:
    """As skl2onnx 1.20 loses them: https://github.com/onnx/sklearn-onnx/issues/1253."""
    X = penguins[NUMBERS].mask(np.random.default_rng(SEED).random((len(penguins), 4)) < 0.1)
    model = make().fit(X, penguins["species"])

    with pytest.raises(ArtifactError) as error:
        export(model, X, penguins["species"], tmp_path / "penguins.onnx")

    message = (
        r"expected ONNX Runtime to answer as scikit-learn [\d.]+ does, within 1e-05; \d+ of \d+ rows differ, row \d+ by "
        r"[\d.]+; all of them have missing values; fill these before the model, with a SimpleImputer in a Pipeline"
    )
    assert re.fullmatch(message, str(error.value))
    assert not list(tmp_path.iterdir())


PIPELINES: dict[str, Callable[[], Any]] = {
    "XGBoost": lambda: XGBClassifier(n_estimators=10, random_state=SEED),
    "LightGBM": lightgbm,
    "GradientBoosting": lambda: GradientBoostingClassifier(n_estimators=10, random_state=SEED),
    "HistGradientBoosting": lambda: HistGradientBoostingClassifier(max_iter=10, random_state=SEED),
    "RandomForest": lambda: RandomForestClassifier(21, random_state=SEED),
    "Voting": lambda: VotingClassifier(
        [("a", LogisticRegression(max_iter=1000)), ("b", RandomForestClassifier(5, random_state=SEED))], voting="soft"
    ),
}


@pytest.mark.parametrize("make", PIPELINES.values(), ids=PIPELINES)
def test_trees_behind_a_scaler(make: Callable[[], Any], penguins: pd.DataFrame, tmp_path: Path) -> None:
    """A scaled float32 may fall on the other side of a split: numbers stay float64."""
    y = penguins["species"].map({"Adelie": 0, "Chinstrap": 1, "Gentoo": 2}).rename("y")
    model = make_pipeline(prepare(OneHotEncoder()), make()).fit(penguins, y)

    classifier, _ = check(model, penguins, y, tmp_path / "penguins.onnx")

    assert set(classifier.model.columns.types) == {"float64", "string"}


def scaled(estimator: Any) -> Any:
    return make_pipeline(StandardScaler(), estimator)


BOOSTED = partial(GradientBoostingClassifier, n_estimators=20, random_state=SEED)
FOREST = partial(RandomForestClassifier, 10, random_state=SEED)
TREE = partial(DecisionTreeClassifier, max_depth=5, random_state=SEED)
HISTOGRAMS = partial(HistGradientBoostingClassifier, max_iter=20, random_state=SEED)
LINEAR = partial(LogisticRegression, max_iter=1000)
ON_THRESHOLDS: dict[str, tuple[str, Callable[[], Any]]] = {
    "GradientBoosting, scaled": ("float64", lambda: scaled(BOOSTED())),
    "RandomForest, scaled": ("float64", lambda: scaled(FOREST())),
    "HistGradientBoosting, scaled": ("float64", lambda: scaled(HISTOGRAMS())),
    "LightGBM, scaled": ("float64", lambda: scaled(lightgbm())),
    "XGBoost, scaled": ("float64", lambda: scaled(XGBClassifier(n_estimators=10, random_state=SEED))),
    "AdaBoost, scaled": ("float64", lambda: scaled(AdaBoostClassifier(TREE(), n_estimators=10, random_state=SEED))),
    "Bagging of scaled": ("float64", lambda: BaggingClassifier(scaled(TREE()), random_state=SEED)),
    "Voting of scaled": (
        "float64",
        lambda: VotingClassifier([("a", scaled(BOOSTED())), ("b", LINEAR())], voting="soft"),
    ),
    "Stacking of scaled": ("float64", lambda: StackingClassifier([("a", scaled(FOREST())), ("b", LINEAR())], cv=2)),
    "calibrated, scaled": ("float64", lambda: CalibratedClassifierCV(scaled(BOOSTED()), cv=2)),
    "calibrated by steps": ("float64", lambda: CalibratedClassifierCV(scaled(FOREST()), method="isotonic", cv=2)),
    "PCA": ("float64", lambda: make_pipeline(PCA(2), BOOSTED())),
    "PolynomialFeatures": ("float64", lambda: make_pipeline(PolynomialFeatures(2), BOOSTED())),
    "QuantileTransformer": ("float64", lambda: make_pipeline(QuantileTransformer(n_quantiles=20), BOOSTED())),
    "a threshold of scaled": ("float64", lambda: FixedThresholdClassifier(scaled(BOOSTED()), threshold=0.3)),
    "LightGBM": ("float64", lightgbm),
    "HistGradientBoosting": ("float64", HISTOGRAMS),
    "GradientBoosting": ("float32", BOOSTED),
    "RandomForest, imputed": ("float32", lambda: make_pipeline(SimpleImputer(), FOREST())),
    "AdaBoost": ("float32", lambda: AdaBoostClassifier(n_estimators=10, random_state=SEED)),
    "Stacking": ("float32", lambda: StackingClassifier([("a", FOREST()), ("b", LINEAR())], cv=2)),
    "XGBoost": ("float32", lambda: XGBClassifier(n_estimators=10, random_state=SEED)),
    "CatBoost": ("float32", ESTIMATORS["CatBoost"]),
    "LogisticRegression, scaled": ("float32", lambda: scaled(LINEAR())),
    "SVC, scaled": ("float32", lambda: scaled(CalibratedClassifierCV(SVC(random_state=SEED), cv=2))),
    "MLP, scaled": ("float32", lambda: scaled(MLPClassifier(max_iter=20, random_state=SEED))),
}


def sales(n: int = 1000) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Each row's age, days and price; thresholds lie between two of them, so often on a third."""
    random = np.random.default_rng(SEED)
    columns = [random.integers(18, 90, n), random.integers(0, 1500, n), random.integers(100, 10_000, n) / 100]
    X = np.column_stack(columns).astype(float)
    score = (X[:, 0] - 50) * (X[:, 1] - 700) / 15_000 + X[:, 2] / 50
    return X, (score + random.normal(0, 0.5, n) > 1).astype(int)


def differ(model: Any, classifier: Classifier, X: Any) -> int:
    """Count the rows that get other probabilities than the framework's own."""
    found = classifier.predict(pd.DataFrame(X).to_numpy(dtype=object).tolist())
    return int((np.abs(found - model.predict_proba(X)).max(axis=1) > TOLERANCE).sum())


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize(("type", "make"), ON_THRESHOLDS.values(), ids=ON_THRESHOLDS)
def test_rows_on_a_threshold_take_the_frameworks_branch(
    type: str, make: Callable[[], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that weren't compared too: numbers are float64 if trees compare what was computed, or compare float64."""
    X, y = sales()
    model = make().fit(X[:500], y[:500])
    grid = np.array(np.meshgrid(*(np.unique(X[500:, place])[::7] for place in range(3)))).reshape(3, -1).T[:20_000]

    classifier, _ = check(model, X[:500], y[:500], tmp_path / "x.onnx")

    assert capsys.readouterr().err == ""
    assert set(classifier.model.columns.types) == {type}
    assert differ(model, classifier, X[500:]) == 0
    assert differ(model, classifier, grid[::4]) == 0


@pytest.mark.parametrize("name", PIPELINES)
def test_trees_compare_numbers_beside_booleans_and_texts(name: str, tmp_path: Path) -> None:
    """Each has one type in the graph, which casts the others to float64."""
    X, y = sales()
    table = pd.DataFrame(X, columns=["age", "days", "price"]).astype({"age": int, "days": int})
    table = table.assign(
        business=y ^ (X[:, 1] % 5 == 0) == 1, city=np.array(["x", "y", "z"])[(X[:, 1] % 3).astype(int)]
    )
    table = table.assign(land=table["city"].str.upper(), is_new=X[:, 0] % 2 == 0)
    columns = make_column_transformer(
        (StandardScaler(), ["days", "price"]),
        (OrdinalEncoder(), ["city", "is_new", "age"]),
        (OneHotEncoder(), ["land", "is_new"]),
        ("passthrough", ["business"]),
    )
    seen, unseen = table[:500], table[500:]
    model = make_pipeline(columns, PIPELINES[name]()).fit(seen, y[:500])

    classifier, _ = check(model, seen, y[:500], tmp_path / "x.onnx")

    types = dict(zip(seen.columns, classifier.model.columns.types, strict=True))
    numbers = {"days": "float64", "price": "float64", "age": "float64"}
    assert types == {**numbers, "business": "bool", "city": "string", "land": "string", "is_new": "bool"}
    assert differ(model, classifier, unseen[[feature.name for feature in classifier.model.features]]) == 0


@pytest.mark.parametrize("make", [LINEAR, lambda: make_pipeline(SimpleImputer(), FOREST())])
def test_an_isotonic_calibration_rises_between_its_points(make: Callable[[], Any], tmp_path: Path) -> None:
    """On a line, as scikit-learn's does."""
    X, y = sales()
    model = CalibratedClassifierCV(make(), method="isotonic").fit(X[:500], y[:500])

    classifier, _ = check(model, X[:500], y[:500], tmp_path / "x.onnx")

    assert differ(model, classifier, X[500:]) == 0


def warn(model: Any, X: Any, y: Any, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    export(model.fit(X, y), X, y, path)
    return capsys.readouterr().err


def test_doubts_about_rows_that_werent_compared_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no type of numbers lets trees compare what they do in scikit-learn."""
    (X, y), path = sales(), tmp_path / "x.onnx"
    stack = StackingClassifier([("a", FOREST())], TREE(max_depth=2), cv=2)
    expected = "warning: rows that weren't compared may get other answers; "

    assert warn(scaled(TREE()), X.astype("float32"), y, path, capsys) == (
        f"{expected}the steps before its trees compute in float32, and round otherwise; "
        "train it on float64: X.astype('float64')\n"
    )
    assert warn(stack, X, y, path, capsys) == (
        f"{expected}its trees compare the answers of other trees, which are float32 in ONNX Runtime\n"
    )
    bins = make_column_transformer(
        (StandardScaler(), [0]), (KBinsDiscretizer(5, encode="ordinal", strategy="uniform"), [1])
    )
    for step in (PowerTransformer(), bins):
        assert warn(make_pipeline(step, TREE(max_depth=2)), X, y, path, capsys) == (
            f"{expected}a step before its trees is converted only with float32, as PowerTransformer, KBinsDiscretizer and "
            "vectorizers of texts are, so a row at a threshold may take another branch\n"
        )


def test_float64_beside_booleans(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """Which become numbers of the same type."""
    X, y = penguins[[*NUMBERS, *TEXTS]].assign(is_late=penguins["year"] > 2008), penguins["species"]
    columns = prepare(OneHotEncoder()).set_params(remainder="passthrough")
    model = make_pipeline(columns, RandomForestClassifier(20, random_state=SEED)).fit(X, y)

    classifier, _ = check(model, X, y, tmp_path / "penguins.onnx")

    assert {"float64", "bool"} <= set(classifier.model.columns.types)


SCORES: dict[str, Callable[[], Any]] = {
    "LinearSVC": lambda: make_pipeline(StandardScaler(), LinearSVC()),
    "LogisticRegression": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "SVC": lambda: make_pipeline(StandardScaler(), SVC()),
    "OneVsOneClassifier": lambda: make_pipeline(StandardScaler(), OneVsOneClassifier(LinearSVC())),
    "trees": lambda: make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=5, random_state=SEED)),
}


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("make", SCORES.values(), ids=SCORES)
def test_a_pipeline_is_calibrated(
    make: Callable[[], Any], n_classes: int, penguins: pd.DataFrame, tmp_path: Path
) -> None:
    """By its last step's scores, for which skl2onnx asks only the pipeline; it may be frozen."""
    X = whole(penguins).astype("float32")
    y = penguins["species"] if n_classes == 3 else penguins["species"] == "Adelie"

    check(CalibratedClassifierCV(make()).fit(X, y), X, y, tmp_path / "x.onnx")
    check(CalibratedClassifierCV(FrozenEstimator(make().fit(X, y))).fit(X, y), X, y, tmp_path / "frozen.onnx")


DOUBLE: dict[str, Callable[[], Any]] = {
    "LightGBM": lightgbm,
    "HistGradientBoosting": lambda: HistGradientBoostingClassifier(random_state=SEED),
    "FixedThreshold": lambda: FixedThresholdClassifier(
        HistGradientBoostingClassifier(random_state=SEED), threshold=0.3
    ),
}


@pytest.mark.parametrize("make", DOUBLE.values(), ids=DOUBLE)
def test_thresholds_that_float32_cant_tell_apart(make: Callable[[], Any], tmp_path: Path) -> None:
    """The numbers stay float64, and so do the thresholds."""
    X, y = make_classification(2000, 5, n_informative=4, n_redundant=0, random_state=SEED)
    X = 1e6 + X

    classifier, _ = check(make().fit(X, y), X, y, tmp_path / "x.onnx")

    assert set(classifier.model.columns.types) == {"float64"}


def test_booleans_whole_numbers_and_names_of_any_kind(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """Inputs have names of our own, features those of the columns; a boolean is taken as one."""
    names = {"bill_length_mm": "1st", "bill_depth_mm": "a b", "flipper_length_mm": "a+b", "island": "a_b"}
    table = penguins.rename(columns=names).astype({"year": int})
    columns = make_column_transformer(
        (OneHotEncoder(), ["a_b", "sex", "is_late"]), remainder=make_pipeline(SimpleImputer(), StandardScaler())
    )
    X, y = table.drop(columns="species"), table["species"]
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(X, y)

    classifier, _ = check(model, X, y, tmp_path / "x.onnx")

    assert [(feature.name, *input[:2]) for feature, input in zip(classifier.model.features, classifier.model.columns.inputs, strict=True)] == [
        ("a_b", "a_b", "string"),
        ("1st", "column_1st", "float32"),
        ("a b", "a_b_2", "float32"),
        ("a+b", "a_b_3", "float32"),
        ("body_mass_g", "body_mass_g", "float32"),
        ("sex", "sex", "string"),
        ("year", "year", "float32"),
        ("is_late", "is_late", "bool"),
    ]  # fmt: skip


BOOLEANS: dict[str, Callable[[], Any]] = {
    "XGBoost": lambda: XGBClassifier(n_estimators=10, random_state=SEED),
    "LightGBM": lightgbm,
    "HistGradientBoosting": lambda: HistGradientBoostingClassifier(max_iter=10, random_state=SEED),
    "RandomForest": lambda: RandomForestClassifier(10, random_state=SEED),
}


def flags() -> pd.DataFrame:
    """100 rows of a number, a boolean, a whole number, and the class that they make."""
    random = np.random.default_rng(SEED)
    table = pd.DataFrame(
        {"a": random.normal(size=100), "is_b": random.random(100) < 0.5, "c": random.integers(9, size=100)}
    )
    return table.assign(y=((table["a"] > 0) ^ table["is_b"] ^ (table["c"] > 4)).astype(int))


@pytest.mark.parametrize("make", BOOLEANS.values(), ids=BOOLEANS)
def test_a_model_is_asked_as_it_was_trained(make: Callable[[], Any], tmp_path: Path) -> None:
    """With true and false in a column of numbers, if it was trained on them there, and nowhere else."""
    table, path = flags(), tmp_path / "x.onnx"
    X, y = table.drop(columns="y"), table["y"]

    classifier, _ = check(make().fit(X, y), X, y, path)

    client = TestClient(create_app(Settings(), classifier))
    answers = [
        client.post("/predict/batch", json={"data": [[0.25, value, 2], *X.to_numpy(dtype=object).tolist()]})
        for value in (True, 1, 1.0)
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert client.post("/predict", json={"data": [[True, True, 2]]}).json()["detail"][0]["msg"] == (
        'row 0, "a": expected a number, got a boolean'
    )
    assert client.post("/predict", json={"data": [[0.25, "true", 2]]}).json()["detail"][0]["msg"] == (
        'row 0, "is_b": expected a number, true or false, got a string'
    )
    facts = client.get("/metadata").json()
    assert {key: facts["features"][1].get(key) for key in ("name", "type", "min", "commonest")} == {
        "name": "is_b", "type": "bool", "min": None, "commonest": bool(X["is_b"].mode()[0])
    }  # fmt: skip
    assert facts["data_sample"] == [[X["a"][0], bool(X["is_b"][0]), X["c"][0]]]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_the_training_file_is_evaluated_and_scored(ending: str, tmp_path: Path) -> None:
    """All its rows, whatever it has for true and false."""
    table, artifact, path = flags(), tmp_path / "x.onnx", tmp_path / f"in.{ending}"
    model = RandomForestClassifier(10, random_state=SEED).fit(table.drop(columns="y"), table["y"])
    export(model, table.drop(columns="y"), table["y"], artifact)
    EXPORT_FORMATS[f"in.{ending}"](table, path)

    evaluated = command("evaluate", artifact, path, "--target", "y", "--json")
    scored = command("score", artifact, path, tmp_path / "out.parquet")

    assert (evaluated.returncode, json.loads(evaluated.stdout)["accuracy"]) == (
        0,
        model.score(table.drop(columns="y"), table["y"]),
    )
    assert (scored.returncode, scored.stderr) == (0, "")
    assert pd.read_parquet(tmp_path / "out.parquet")["is_b"].astype(bool).tolist() == table["is_b"].tolist()


def test_a_boolean_may_be_missing_where_the_model_was_trained_so(tmp_path: Path) -> None:
    """As pandas' own booleans may be."""
    table = flags()
    X = table.drop(columns="y").assign(is_b=table["is_b"].astype("boolean").where(table.index % 5 > 0))
    model = HistGradientBoostingClassifier(max_iter=10, random_state=SEED).fit(X, table["y"])

    classifier, _ = check(model, X, table["y"], tmp_path / "x.onnx")

    assert [feature.name for feature in classifier.model.features if feature.boolean] == ["is_b"]
    for n_rows in (1, 100):
        rows = [[0.25, value, 2] for value in (None, True, False)] * n_rows
        assert classifier.predict(rows) == pytest.approx(
            model.predict_proba(pd.DataFrame(rows, columns=X.columns).astype({"is_b": "boolean"})), abs=TOLERANCE
        )


REVIEWS = [
    "ein SCHÖNER Tag, großartig!", "Übung: a, ö", "übel, so übel", "καλή Ώρα", "плохой ДЕНЬ", "naïve Café",
    "nai\u0308ve cafe\u0301", "映画 最高 👍🏽", "a_b 1984 ١٢٣ x²", "it's e-mail 12ab", "schön-faul", "good\u00a0day\nso", "",
]  # fmt: skip
VECTORIZERS: dict[str, Callable[[], Any]] = {
    "TfidfVectorizer": TfidfVectorizer,
    "TfidfVectorizer, two words": lambda: TfidfVectorizer(ngram_range=(1, 2)),
    "CountVectorizer, as written": lambda: CountVectorizer(lowercase=False),
    "CountVectorizer, letters": lambda: CountVectorizer(analyzer="char"),
    **{
        pattern: partial(CountVectorizer, token_pattern=pattern)
        for pattern in (
            r"(?u)\b\w+\b", r"\b\w{3,}\b", r"\b\w{2,4}\b", r"\b[a-zA-Z]+\b", r"\S+", r"[\w'-]+", r"[^\W\d_]+",
            r"[^\W_]{2,}", r"[a-z\u00e0-\u00ff]+", r"\w+|[^\w\s]", r"\d+",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("make", VECTORIZERS.values(), ids=VECTORIZERS)
def test_words_of_any_language_are_counted(make: Callable[[], Any], tmp_path: Path) -> None:
    """A series of texts is a column, here beside a number too."""
    texts = pd.Series(REVIEWS * 5, name="review")
    y = np.array(["+", "-", "-", "+"])[np.arange(len(texts)) % 4]
    model = make_pipeline(make(), LogisticRegression(C=10)).fit(texts, y)
    table = texts.to_frame().assign(stars=np.arange(len(texts)) % 3)
    columns = make_column_transformer((make(), "review"), ("passthrough", ["stars"]))
    beside = make_pipeline(columns, LogisticRegression(C=10, max_iter=1000)).fit(table, y)

    export(model, texts, y, tmp_path / "reviews.onnx")
    check(beside, table, y, tmp_path / "beside.onnx")

    classifier = load(tmp_path / "reviews.onnx")
    assert [feature.name for feature in classifier.model.features] == ["review"]
    found = classifier.predict([[text] for text in texts])
    assert np.abs(found - model.predict_proba(texts)).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("pattern", "n_words"),
    [(r"\b\w[\w'-]*\b", 1), (r"(\w)\w+", 1), (r"\w+(?=\s|$)", 1), (r"(?i)[a-z]+", 1), (r"[^\W\d]+", 1),
     (r"\b[a-z]+\b", 2)],
)  # fmt: skip
def test_words_that_onnxruntime_finds_otherwise_are_refused(pattern: str, n_words: int, tmp_path: Path) -> None:
    """Even if all rows agree: another text may not."""
    texts, y = ["good", "bad"] * 5, ["+", "-"] * 5
    vectorizer = CountVectorizer(token_pattern=pattern, ngram_range=(1, n_words))

    with pytest.raises(ArtifactError) as error:
        export(make_pipeline(vectorizer, LogisticRegression()).fit(texts, y), pd.Series(texts), y, tmp_path / "x.onnx")

    assert str(error.value) == (
        r"expected a token_pattern without groups and flags, and with \b only around words, as in \b\w\w+\b; "
        f"ONNX Runtime doesn't split texts by {pattern} as scikit-learn does"
    )


def test_words_that_are_lower_cased_otherwise_are_refused(tmp_path: Path) -> None:
    """Without a hint at numbers, which the model doesn't take, though it has trees."""
    texts, y = ["İyi", "ΚΑΛΟΣ", "kötü", "κακός"] * 5, ["+", "+", "-", "-"] * 5
    model = make_pipeline(CountVectorizer(), RandomForestClassifier(10, random_state=SEED)).fit(texts, y)

    with pytest.raises(ArtifactError, match=r"; 10 of 20 rows differ, row \d+ by [\d.]+$"):
        export(model, pd.Series(texts), y, tmp_path / "x.onnx")


def test_a_model_of_a_series_is_exported_by_a_file_of_one_column(tmp_path: Path) -> None:
    """And by a DataFrame of one, even of one row held out; the file is evaluated and scored."""
    table = pd.DataFrame({"review": REVIEWS[:-1] * 5, "label": ["+", "-", "-"] * 20})
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(table["review"], table["label"])
    joblib.dump(model, tmp_path / "model.joblib")
    table.to_csv(tmp_path / "in.csv", index=False)
    one = table[["review"]]

    result = command("export", tmp_path / "model.joblib", tmp_path / "in.csv", "--target", "label",
                     "--output", tmp_path / "file.onnx")  # fmt: skip
    held_out = (one[:1], table["label"][:1])
    certificate = export(model, one, table["label"], tmp_path / "frame.onnx", holdout=held_out)
    evaluated = command("evaluate", tmp_path / "file.onnx", tmp_path / "in.csv", "--target", "label", "--json")
    scored = command("score", tmp_path / "file.onnx", tmp_path / "in.csv", tmp_path / "out.parquet")

    assert (result.returncode, result.stderr, certificate.rows) == (0, "", 61)
    assert json.loads(evaluated.stdout)["accuracy"] == pytest.approx(model.score(table["review"], table["label"]))
    assert (scored.returncode, scored.stderr) == (0, "")
    client = TestClient(create_app(Settings(), load(tmp_path / "file.onnx")))
    for given in (["sehr schön"], {"review": "sehr schön"}):
        answer = client.post("/predict", json={"data": [given]})
        assert answer.json()["prediction"] == pytest.approx(model.predict_proba(["sehr schön"])[0], abs=TOLERANCE)


def test_a_model_of_a_series_takes_no_gaps_and_no_other_column(tmp_path: Path) -> None:
    """The framework says why, or how many answers it gives."""
    texts, y = pd.Series(["good", "bad"] * 5, name="text"), ["+", "-"] * 5
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, y)

    with pytest.raises(ArtifactError, match=r"; scikit-learn says: np\.nan is an invalid document"):
        export(model, texts.where(texts.index > 0).to_frame(), y, tmp_path / "x.onnx")
    with pytest.raises(ArtifactError) as error:
        export(model, pd.DataFrame({"text": texts, "n": 1}), y, tmp_path / "x.onnx")

    assert str(error.value) == (
        "expected an answer to each of 10 rows, got 2; a model of one sequence of texts takes no other column"
    )


TARGETS: dict[str, tuple[Callable[[pd.Series], Any], list[str]]] = {
    "texts": (lambda y: y.map({True: "yes", False: "no"}), ["no", "yes"]),
    "booleans": (lambda y: y, ["False", "True"]),
    "whole numbers": (lambda y: y.astype(int), ["0", "1"]),
    "from 1": (lambda y: y.astype(int) + 1, ["1", "2"]),
    "decimals": (lambda y: y.astype(float), ["0.0", "1.0"]),
}


@pytest.mark.parametrize(("make", "labels"), TARGETS.values(), ids=TARGETS)
def test_labels_are_as_the_target_has_them(
    make: Callable[[Any], Any], labels: list[str], penguins: pd.DataFrame, tmp_path: Path
) -> None:
    """Of whatever type they are."""
    y = make(penguins["species"] == "Adelie")
    model = make_pipeline(prepare(OneHotEncoder()), LogisticRegression(max_iter=1000)).fit(penguins, y)

    classifier, _ = check(model, penguins, y, tmp_path / "x.onnx")

    assert classifier.model.labels == tuple(labels)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_whole_numbers_beside_a_gap_are_labels_without_decimals(ending: str, tmp_path: Path) -> None:
    """pandas reads and writes 1.0 for 1 then; also in rows held out."""
    table, X = flags(), flags().drop(columns="y")
    joblib.dump(RandomForestClassifier(10, random_state=SEED).fit(X, table["y"]), tmp_path / "model.joblib")
    for name, rows in (("in", table), ("gap", table.assign(y=table["y"].where(table.index > 4)))):
        EXPORT_FORMATS[f"in.{ending}"](rows, tmp_path / f"{name}.{ending}")

    for trained, held in (("in", "gap"), ("gap", "in")):
        path = tmp_path / f"{trained}.onnx"
        result = command("export", tmp_path / "model.joblib", tmp_path / f"{trained}.{ending}", "--target", "y",
                         "--holdout", tmp_path / f"{held}.{ending}", "--output", path)  # fmt: skip

        assert (result.returncode, result.stderr) == (0, "")
        assert load(path).model.labels == ("0", "1")


def test_classes_that_are_numbers_take_the_names_that_the_rows_show(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """XGBoost knows its classes as 0, 1, 2, and y may say more."""
    codes = penguins["species"].map({"Adelie": 2, "Chinstrap": 0, "Gentoo": 1})
    model = XGBClassifier(n_estimators=10, random_state=SEED).fit(penguins[NUMBERS], codes)

    classifier, _ = check(model, penguins[NUMBERS], penguins["species"], tmp_path / "x.onnx")

    assert classifier.model.labels == ("Chinstrap", "Gentoo", "Adelie")


OWN = "expected the model's labels, Adelie, Chinstrap, Gentoo; got"
RENAMES = "--labels, or labels= of export, renames the model's classes"
OTHERS: dict[str, tuple[Callable[[pd.Series], pd.Series], str]] = {
    "all": (lambda y: y.str.upper(), f"row 0: {OWN} ADELIE, CHINSTRAP, GENTOO in 344 rows; {RENAMES}"),
    "one class": (lambda y: y.replace("Gentoo", "GENTOO"), f"row 152: {OWN} GENTOO in 124 rows; {RENAMES}"),
    "one row": (lambda y: y.where(y.index != 99, "Adelia"), f"row 99: {OWN} Adelia in 1 row; {RENAMES}"),
}


@pytest.mark.parametrize(("change", "message"), OTHERS.values(), ids=OTHERS)
def test_labels_that_arent_the_models_are_refused(
    change: Callable[[pd.Series], pd.Series], message: str, penguins: pd.DataFrame, tmp_path: Path
) -> None:
    """Both lists are named, and the first such row; in files by their line."""
    X, y = whole(penguins), penguins["species"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    X.assign(y=y).to_csv(tmp_path / "right.csv", index=False)
    X.assign(y=change(y))[:150].to_csv(tmp_path / "first.csv", index=False)
    X.assign(y=change(y))[150:].to_csv(tmp_path / "second.csv", index=False)
    files = (tmp_path / "first.csv", tmp_path / "second.csv")
    options = ("--target", "y", "--output", tmp_path / "x.onnx")

    with pytest.raises(ArtifactError) as error:
        export(model, X, change(y), tmp_path / "x.onnx")
    trained = command("export", tmp_path / "model.joblib", *files, *options)
    held_out = command("export", tmp_path / "model.joblib", tmp_path / "right.csv", "--holdout", *files, *options)

    assert str(error.value) == message
    row, _, text = message.partition(": ")
    number = int(row.removeprefix("row "))
    path, line = (files[0], number + 2) if number < 150 else (files[1], number - 150 + 2)
    assert trained.stderr == held_out.stderr == f"FileError: {path}, line {line}: {text}\n"
    assert not (tmp_path / "x.onnx").exists()


def test_labels_may_be_renamed(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """If the caller says so, in the function and in a file."""
    X, y = whole(penguins), penguins["species"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    X.assign(y=y.str.upper()).to_csv(tmp_path / "in.csv", index=False)
    (tmp_path / "names.json").write_text('{"0": "ADELIE", "1": "CHINSTRAP", "2": "GENTOO"}')

    export(model, X, y, tmp_path / "a.onnx", labels=["a", "c", "g"])
    result = command("export", tmp_path / "model.joblib", tmp_path / "in.csv", "--target", "y",
                     "--labels", tmp_path / "names.json", "--output", tmp_path / "b.onnx")  # fmt: skip

    assert (result.returncode, result.stderr) == (0, "")
    assert load(tmp_path / "a.onnx").model.labels == ("a", "c", "g")
    assert load(tmp_path / "b.onnx").model.labels == ("ADELIE", "CHINSTRAP", "GENTOO")


def test_a_catboost_model_that_was_saved_is_exported(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """By joblib, or in CatBoost's own format: it then says that it takes 0 features."""
    X, y = whole(penguins), penguins["species"]
    model = CatBoostClassifier(iterations=5, verbose=False, allow_writing_files=False).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    model.save_model(tmp_path / "model.cbm")

    for loaded in (joblib.load(tmp_path / "model.joblib"), CatBoostClassifier().load_model(tmp_path / "model.cbm")):
        export(loaded, X[X.columns[::-1]], y, tmp_path / "x.onnx")

        classifier = load(tmp_path / "x.onnx")
        assert [feature.name for feature in classifier.model.features] == list(X)
        assert np.abs(classifier.predict(X.to_numpy().tolist()) - model.predict_proba(X)).max() < TOLERANCE
    with pytest.raises(ArtifactError, match="got none called body_mass_g"):
        export(model, X.drop(columns="body_mass_g"), y, tmp_path / "x.onnx")


def test_labels_in_another_order_are_warned_of(
    penguins: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as of a table that was shuffled, but for its labels: no better than chance."""
    X, y = whole(penguins), penguins["species"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)

    for seed in range(3):
        export(model, X, y.sample(frac=1, random_state=seed).to_numpy(), tmp_path / "x.onnx")
        assert "chance gives 33.33%; are the columns, or the labels, in another order?" in capsys.readouterr().err


def test_labels_that_are_swapped_are_warned_of(
    penguins: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is written all the same."""
    X, y = whole(penguins), penguins["species"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)

    export(model, X, y.map({"Adelie": "Gentoo", "Gentoo": "Chinstrap", "Chinstrap": "Adelie"}), tmp_path / "x.onnx")

    assert (tmp_path / "x.onnx").exists()
    assert capsys.readouterr().err == (
        "warning: 0.98% of the rows of each label are labelled correctly on average, chance gives 33.33%; are the "
        "columns, or the labels, in another order?\n"
    )


RARE: dict[str, Callable[[], Any]] = {
    "threshold": lambda: FixedThresholdClassifier(LogisticRegression(), threshold=0.02, pos_label="yes"),
    "balanced": lambda: LogisticRegression(class_weight="balanced"),
    "always the commonest": lambda: LogisticRegression(C=1e-6),
}


@pytest.mark.parametrize("make", RARE.values(), ids=RARE)
def test_a_rare_label_is_no_reason_for_a_warning(
    make: Callable[[], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though fewer rows may be labelled correctly than by the commonest label alone."""
    random = np.random.default_rng(SEED)
    X = random.normal(size=(1000, 2))
    y = np.where(X[:, 0] + random.normal(size=1000) > 2.6, "yes", "no")
    model = make().fit(X, y)
    assert model.score(X, y) <= (y == "no").mean()

    export(model, X, y, tmp_path / "x.onnx")

    assert capsys.readouterr().err == ""


def test_renamed_labels_need_not_be_shown_by_the_rows_held_out(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """The model knows which of its classes they rename; the rows may have the old names or the new ones."""
    X, y = whole(penguins), penguins["species"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    few, names = y.index[:20], {"Adelie": "a", "Chinstrap": "Chinstrap", "Gentoo": "g"}

    for holdout in (y[few], y[few].map(names)):
        export(model, X, y, tmp_path / "x.onnx", labels=[*names.values()], holdout=(X.loc[few], holdout))
        training = load(tmp_path / "x.onnx").model.training or {}
        assert training["accuracy"] == round(model.score(X.loc[few], y[few]), 4)
    with pytest.raises(ArtifactError) as error:
        export(model, X, y, tmp_path / "x.onnx", labels=[*names.values()], holdout=(X[:1], ["Adelia"]))

    assert load(tmp_path / "x.onnx").model.labels == ("a", "Chinstrap", "g")
    assert str(error.value) == (
        f"holdout, row 0: expected the model's labels, a, Chinstrap, g; got Adelia in 1 row; {RENAMES}"
    )


def test_names_of_numbers_need_not_be_shown_by_the_rows_held_out(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """The rows that the model was trained on show them; "10" comes after "2", as in a label.json."""
    codes = penguins["species"].map({"Adelie": 2, "Chinstrap": 0, "Gentoo": 1})
    model = XGBClassifier(n_estimators=10, random_state=SEED).fit(penguins[NUMBERS], codes)
    y, few = penguins["species"], penguins.index[:20]
    X, digits = np.arange(96.0).reshape(-1, 1) // 8, np.repeat([str(index) for index in range(12)], 8)
    tree = DecisionTreeClassifier().fit(X, digits)

    export(model, penguins[NUMBERS], y, tmp_path / "x.onnx", holdout=(penguins.loc[few, NUMBERS], y[few]))
    export(tree, X, digits, tmp_path / "y.onnx", labels=[f"class {index}" for index in range(12)], holdout=(X, digits))

    assert load(tmp_path / "x.onnx").model.labels == ("Chinstrap", "Gentoo", "Adelie")
    found = load(tmp_path / "y.onnx")
    assert found.predict_label([[2.0], [10.0]]) == ["class 2", "class 10"]
    assert (found.model.training or {})["accuracy"] == 1


NO_NAMES: dict[str, tuple[Any, str]] = {
    "mapping": ({"no": "a", "yes": "b"}, "dict"),
    "text": ("ab", "str"),
    "set": ({"a", "b"}, "set"),
    "numbers": ([0, 1], "list of int"),
}


@pytest.mark.parametrize(("labels", "got"), NO_NAMES.values(), ids=NO_NAMES)
def test_names_of_classes_are_a_list_of_texts(labels: Any, got: str, tmp_path: Path) -> None:
    """The keys of a mapping would become the labels."""
    model = LogisticRegression().fit([[0], [1]], ["no", "yes"])

    with pytest.raises(ArtifactError) as error:
        export(model, [[0], [1]], ["no", "yes"], tmp_path / "x.onnx", labels=labels)

    expected = "a list of texts, one per class in the order of the model's classes_"
    assert str(error.value) == f"expected labels to be {expected}, got {got}"


def test_a_stray_label_is_no_name_of_a_number(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """Though the rows name the classes."""
    codes = penguins["species"].map({"Adelie": 2, "Chinstrap": 0, "Gentoo": 1})
    model = XGBClassifier(n_estimators=10, random_state=SEED).fit(penguins[NUMBERS], codes)
    y = penguins["species"].where(penguins.index != 7, "Adelia")

    with pytest.raises(ArtifactError) as error:
        export(model, penguins[NUMBERS], y, tmp_path / "x.onnx")

    expected = "expected the model's labels, Chinstrap, Gentoo, Adelie"
    assert str(error.value) == f"row 7: {expected}; got Adelia in 1 row; {RENAMES}"


@pytest.mark.parametrize("target", ["texts", "booleans", "whole numbers"])
@pytest.mark.parametrize("place", [0, 1], ids=["first", "second"])
def test_a_threshold_decides_the_label(target: str, place: int, penguins: pd.DataFrame, tmp_path: Path) -> None:
    """Of FixedThresholdClassifier and TunedThresholdClassifierCV, alone and as the last step."""
    make, _ = TARGETS[target]
    y = make(penguins["species"] == "Adelie")
    inner = make_pipeline(prepare(OneHotEncoder()), LogisticRegression(max_iter=1000))
    fixed = FixedThresholdClassifier(inner, threshold=0.95, pos_label=np.unique(y)[place]).fit(penguins, y)
    last = make_pipeline(prepare(OneHotEncoder()), FixedThresholdClassifier(LogisticRegression(), threshold=0.05))

    classifier, _ = check(fixed, penguins, y, tmp_path / "fixed.onnx")
    check(last.fit(penguins, y), penguins, y, tmp_path / "last.onnx")
    check(TunedThresholdClassifierCV(inner, random_state=SEED).fit(penguins, y), penguins, y, tmp_path / "tuned.onnx")

    rows = penguins[[feature.name for feature in classifier.model.features]].dropna().to_numpy(dtype=object).tolist()
    likeliest = classifier.predict(rows).argmax(axis=1)
    labels = [classifier.model.labels[index] for index in likeliest]
    assert classifier.predict_label(rows) != labels


def test_rows_held_out_certify_and_rate_it(
    penguins: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are compared with the framework beside those that it was trained on, and rate it in place of them."""
    seen, unseen = penguins[::2], penguins[1::2]
    model = make_pipeline(prepare(OneHotEncoder()), LogisticRegression(max_iter=1000)).fit(seen, seen["species"])

    certificate = export(
        model, seen, seen["species"], tmp_path / "x.onnx", holdout=(unseen, unseen["species"])
    )  # fmt: skip

    training = load(tmp_path / "x.onnx").model.training or {}
    share = model.score(unseen, unseen["species"])
    assert capsys.readouterr().out.endswith(
        f" of them labelled correctly, and {share:.2%} of {len(unseen)} rows held out; 344 rows compared with "
        f"{certificate.framework}: largest difference {certificate.largest_difference:.2g}, 0 labels differ\n"
    )
    assert (certificate.rows, certificate.rows_missing) == (
        len(penguins),
        int(penguins[[*NUMBERS, *TEXTS]].isna().any(axis=1).sum()),
    )
    assert training["accuracy"] == round(model.score(unseen, unseen["species"]), 4)
    assert training["accuracy_from"] == f"{len(unseen)} rows that it wasn't trained on"


def test_the_same_model_gives_the_same_bytes(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """On the same day."""
    model = make_pipeline(prepare(OneHotEncoder()), RandomForestClassifier(5, random_state=SEED))
    model.fit(penguins, penguins["species"])

    for name in ("a", "b"):
        export(model, penguins, penguins["species"], tmp_path / f"{name}.onnx")

    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def whole(table: pd.DataFrame) -> pd.DataFrame:
    return table[NUMBERS].fillna(table[NUMBERS].mean())


@pytest.mark.parametrize("make", [LogisticRegression, partial(RandomForestClassifier, 5, random_state=SEED)])
def test_a_model_that_onnxruntime_answers_otherwise_is_refused(
    make: Callable[[], Any], penguins: pd.DataFrame, tmp_path: Path
) -> None:
    """With how many rows, how far, and where; nothing is written."""
    X, y, path = whole(penguins), penguins["species"], tmp_path / "x.onnx"
    model = make_pipeline(StandardScaler(), make()).fit(X, y)
    own = model.predict_proba
    shift = np.zeros((len(X), 3))
    shift[[7, 9], :2] = [[0.01, -0.01], [0.25, -0.25]]
    model.predict_proba = lambda rows: own(rows) + shift

    with pytest.raises(ArtifactError) as error:
        export(model, X, y, path)

    assert str(error.value) == (
        f"expected ONNX Runtime to answer as scikit-learn {version('scikit-learn')} does, within 1e-05; "
        f"2 of 344 rows differ, row 9 by 0.25"
    )
    assert not path.exists()
    assert export(model, X, y, path, tolerance=0.3).largest_difference == pytest.approx(0.25, abs=TOLERANCE)


def test_rows_held_out_are_compared_too(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """And named as such."""
    X, y = whole(penguins), penguins["species"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    own = model.predict_proba
    model.predict_proba = lambda rows: (
        own(rows) + (np.arange(len(rows)) == 2)[:, None] * ((len(rows) == 7) * np.array([0.25, -0.25, 0]))
    )

    with pytest.raises(ArtifactError, match=r"; 1 of 344 rows differ, row 2 of holdout by 0\.25$"):
        export(model, X[7:], y[7:], tmp_path / "x.onnx", holdout=X[:7])


def test_gaps_that_the_export_loses_are_told(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """When all of the rows that differ have some."""
    X, y = penguins[NUMBERS], penguins["species"]
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(X, y)
    own = model.predict_proba
    model.predict_proba = lambda rows: own(rows) + rows.isna().to_numpy()[:, :1] * [[0.5, -0.5, 0]]

    with pytest.raises(ArtifactError) as error:
        export(model, X, y, tmp_path / "x.onnx")

    assert str(error.value).endswith(
        "within 1e-05; 2 of 344 rows differ, row 3 by 0.5; all of them have missing values; "
        "fill these before the model, with a SimpleImputer in a Pipeline"
    )


def test_none_that_an_imputer_leaves_is_told(tmp_path: Path) -> None:
    """It fills only what its missing_values is."""
    X = pd.DataFrame({"c": pd.Series(["a", "b", None, "a"] * 50, dtype=object)})
    y = pd.Series([0, 1, 1, 0] * 50)
    impute = SimpleImputer(strategy="most_frequent")
    model = make_pipeline(impute, OneHotEncoder(handle_unknown="ignore"), LogisticRegression())

    with pytest.raises(ArtifactError) as error:
        export(clone(model).fit(X, y), X, y, tmp_path / "x.onnx")
    filled = X.fillna(np.nan)
    check(clone(model).fit(filled, y), filled, y, tmp_path / "nan.onnx")
    check(model.set_params(simpleimputer__missing_values=None).fit(X, y), X, y, tmp_path / "none.onnx")

    assert str(error.value).endswith(
        "; 50 of 200 rows differ, row 2 by 0.92; all of them have missing values; a SimpleImputer fills NaN and leaves "
        "None, so train the model on X.fillna(np.nan), or set missing_values=None"
    )


SPARSE: dict[str, Callable[[], Any]] = {
    "OneHotEncoder": lambda: make_pipeline(OneHotEncoder(handle_unknown="ignore"), XGBClassifier(n_estimators=5)),
    "ColumnTransformer": lambda: make_pipeline(
        make_column_transformer((TfidfVectorizer(), "island"), (OneHotEncoder(), ["sex"]), sparse_threshold=1),
        XGBClassifier(n_estimators=5),
    ),
    "beside a step that computes": lambda: make_pipeline(
        make_column_transformer(
            (make_pipeline(OrdinalEncoder(), StandardScaler()), ["sex"]),
            (TfidfVectorizer(), "island"),
            sparse_threshold=1,
        ),
        XGBClassifier(n_estimators=5),
    ),
    "search": lambda: make_pipeline(
        OneHotEncoder(handle_unknown="ignore"), GridSearchCV(XGBClassifier(n_estimators=5), {"max_depth": [3]}, cv=2)
    ),
}


@pytest.mark.parametrize("make", SPARSE.values(), ids=SPARSE)
def test_zeros_that_xgboost_takes_for_missing_values_are_told(
    make: Callable[[], Any], penguins: pd.DataFrame, tmp_path: Path
) -> None:
    """Those of a sparse matrix; a dense one is exported."""
    rows = penguins[penguins["species"] != "Gentoo"]
    X, y = rows[TEXTS].fillna("unknown"), (rows["species"] == "Adelie").astype(int)
    columns = make_column_transformer((OneHotEncoder(), TEXTS), sparse_threshold=0)

    with pytest.raises(ArtifactError) as error:
        export(make().fit(X, y), X, y, tmp_path / "x.onnx")
    check(make_pipeline(columns, XGBClassifier(n_estimators=5)).fit(X, y), X, y, tmp_path / "dense.onnx")

    assert str(error.value).endswith(
        "; XGBoost gets a sparse matrix, and takes its zeros for missing values; train it with ColumnTransformer's "
        "sparse_threshold=0, or OneHotEncoder's sparse_output=False"
    )


LOST_WORDS: dict[str, tuple[Any, str]] = {
    "sublinear": (
        TfidfVectorizer(sublinear_tf=True),
        "skl2onnx doesn't convert sublinear_tf=True of TfidfVectorizer rightly",
    ),
    "sublinear after counts": (
        make_pipeline(CountVectorizer(), TfidfTransformer(sublinear_tf=True)),
        "skl2onnx doesn't convert sublinear_tf=True of TfidfTransformer rightly",
    ),
    "stop words": (
        CountVectorizer(stop_words=["is"], ngram_range=(1, 2)),
        "skl2onnx doesn't convert stop_words of CountVectorizer rightly if its ngram_range exceeds 1",
    ),
}


@pytest.mark.parametrize(("words", "cause"), LOST_WORDS.values(), ids=LOST_WORDS)
def test_options_of_vectorizers_that_the_export_loses_are_told(words: Any, cause: str, tmp_path: Path) -> None:
    """The comparison alone would only count the rows."""
    X, y = ["this is good good good", "good this is", "that is bad", "bad is bad is that"] * 5, [1, 1, 0, 0] * 5
    model = make_pipeline(clone(words), LogisticRegression()).fit(X, y)

    with pytest.raises(ArtifactError) as error:
        export(model, pd.DataFrame({"text": X}), y, tmp_path / "x.onnx")

    assert re.search(r" rows differ, row \d+ by [\d.]+; ", str(error.value))
    assert str(error.value).endswith(f"; {cause}")


def test_a_label_that_isnt_predicts_own_is_refused(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """Even if the probabilities are the same."""
    X, y = whole(penguins), penguins["species"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    model.predict = lambda rows: np.full(len(rows), "Gentoo")

    with pytest.raises(ArtifactError, match=r"and by their labels: the file's own label isn't what predict gives$"):
        export(model, X, y, tmp_path / "x.onnx")


def test_labels_that_differ_in_ties_are_told(
    penguins: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where two labels are equally likely, each is right."""
    X, y = whole(penguins), (penguins["species"] == "Gentoo").astype(int)
    model = DecisionTreeClassifier(max_depth=1).fit(X, y)
    model.tree_.value[:] = 0.5
    own = model.predict
    model.predict = lambda rows: 1 - own(rows)

    certificate = export(model, X, y, tmp_path / "x.onnx")

    assert certificate.labels_differ == len(X)
    assert capsys.readouterr().out.endswith(f" {len(X)} labels differ, all where two labels are equally likely\n")


SKL2ONNX = f"expected a model that skl2onnx {version('skl2onnx')} converts"
SUPPORTED = "https://onnx.ai/sklearn-onnx/supported.html lists the models that are"
PROBABILITIES = "expected a classifier that gives probabilities (predict_proba), got"
CALIBRATED = "CalibratedClassifierCV makes one of a classifier that gives none"


REFUSED: dict[str, tuple[Any, Callable[[pd.DataFrame], Any], str]] = {
    "regressor": (LinearRegression(), whole, f"{PROBABILITIES} LinearRegression; regressors aren't served"),
    "regressor of XGBoost": (
        XGBRegressor(n_estimators=2),
        whole,
        f"{PROBABILITIES} XGBRegressor; regressors aren't served",
    ),
    "clusterer": (KMeans(2), whole, f"{PROBABILITIES} KMeans; clusterers aren't served"),
    "mixture": (GaussianMixture(2), whole, f"{PROBABILITIES} GaussianMixture; only classifiers are served"),
    "no probabilities": (SVC(), whole, f"{PROBABILITIES} SVC; {CALIBRATED}"),
    "no converter": (
        LabelPropagation(max_iter=5000),
        whole,
        (
            f"{SKL2ONNX}, LabelPropagation isn't one (Unable to find a shape calculator for type '<class "
            f"'sklearn.semi_supervised._label_propagation.LabelPropagation'>'); {SUPPORTED}"
        ),
    ),
    "function": (
        make_pipeline(FunctionTransformer(np.log1p), LogisticRegression(max_iter=5000)),
        whole,
        (
            f"{SKL2ONNX}, FunctionTransformer isn't one (FunctionTransformer is not supported unless the transform "
            f"function is None (= identity)); {SUPPORTED}"
        ),
    ),
    "step of columns": (
        make_pipeline(
            make_column_transformer((QuantileTransformer(n_quantiles=10, output_distribution="normal"), NUMBERS)),
            LogisticRegression(max_iter=5000),
        ),
        whole,
        (
            f"{SKL2ONNX}, QuantileTransformer isn't one (Conversion of QuantileTransformer with "
            f"output_distribution='normal' is not supported); {SUPPORTED}"
        ),
    ),
    "words without accents": (
        make_pipeline(
            make_column_transformer((TfidfVectorizer(strip_accents="unicode"), "island")), LogisticRegression()
        ),
        lambda table: table[["island"]],
        (
            f"{SKL2ONNX}, TfidfVectorizer isn't one (CountVectorizer cannot be converted, only strip_accents=None is "
            f"supported); {SUPPORTED}"
        ),
    ),
    "bins": (
        make_pipeline(KBinsDiscretizer(3, strategy="uniform"), LogisticRegression(max_iter=5000)),
        whole,
        (
            "expected KBinsDiscretizer's encode to be 'onehot-dense' or 'ordinal', got 'onehot', which skl2onnx doesn't "
            "convert"
        ),
    ),
    "categories": (
        HistGradientBoostingClassifier(max_iter=2),
        lambda table: table[[*NUMBERS, *TEXTS]].astype(dict.fromkeys(TEXTS, "category")),
        (
            "expected HistGradientBoostingClassifier without categorical_features, which skl2onnx loses; encode them "
            "before it with a OneHotEncoder"
        ),
    ),
    "categories of XGBoost": (
        XGBClassifier(n_estimators=2, enable_categorical=True),
        lambda table: table[TEXTS].astype("category"),
        (
            "expected numbers for the export of XGBClassifier, got texts in island, sex; encode them before it, or in a "
            "Pipeline of scikit-learn"
        ),
    ),
    "dart": (
        XGBClassifier(n_estimators=2, booster="dart"),
        whole,
        "expected booster='gbtree' of XGBoost, got 'dart', which onnxmltools doesn't convert",
    ),
    "linear booster": (
        make_pipeline(StandardScaler(), XGBClassifier(n_estimators=2, booster="gblinear")),
        whole,
        "expected booster='gbtree' of XGBoost, got 'gblinear', which onnxmltools doesn't convert",
    ),
    "numbers with gaps as categories": (
        make_pipeline(OneHotEncoder(), LogisticRegression()),
        lambda table: table[["body_mass_g"]],
        "expected OneHotEncoder's numbers without missing values; put a SimpleImputer before it",
    ),
    "decision function": (
        TunedThresholdClassifierCV(LogisticRegression(max_iter=5000), response_method="decision_function"),
        whole,
        (
            "expected a threshold of a probability, response_method='predict_proba'; TunedThresholdClassifierCV has one "
            "of its decision_function"
        ),
    ),
}


@pytest.mark.parametrize(("model", "select", "message"), REFUSED.values(), ids=REFUSED)
def test_a_model_that_cant_be_exported_is_told(
    model: Any, select: Callable[[pd.DataFrame], Any], message: str, penguins: pd.DataFrame, tmp_path: Path
) -> None:
    """In one line that names it, and nothing is written."""
    X, y = select(penguins), (penguins["species"] == "Gentoo").astype(int)

    with pytest.raises(ArtifactError) as error:
        export(clone(model).fit(X, y), X, y, tmp_path / "x.onnx")

    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


NATIVE: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "XGBoost": (lambda X, y: XGBClassifier(n_estimators=2).fit(X, y).get_booster(), "Booster; use XGBClassifier"),
    "LightGBM": (lambda X, y: lightgbm().fit(X, y).booster_, "Booster; use LGBMClassifier"),
    "CatBoost": (
        lambda X, y: CatBoost({"iterations": 2, "verbose": False, "allow_writing_files": False}).fit(X, y),
        "CatBoost; use CatBoostClassifier",
    ),
}


@pytest.mark.parametrize(("train", "message"), NATIVE.values(), ids=NATIVE)
def test_a_booster_without_classes_is_told_which_class_has_them(
    train: Callable[[Any, Any], Any], message: str, penguins: pd.DataFrame, tmp_path: Path
) -> None:
    """As the frameworks' own training functions return it."""
    X, y = whole(penguins), (penguins["species"] == "Gentoo").astype(int)

    with pytest.raises(ArtifactError) as error:
        export(train(X, y), X, y, tmp_path / "x.onnx")

    assert str(error.value) == f"{PROBABILITIES} {message}, which knows its classes"


def test_several_labels_a_row_are_refused(tmp_path: Path) -> None:
    """One column of y is its labels."""
    X, y = np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])
    model = DecisionTreeClassifier().fit(X, y)

    export(model, X, pd.DataFrame({"y": y}), tmp_path / "x.onnx")
    with pytest.raises(ArtifactError) as error:
        export(DecisionTreeClassifier().fit(X, np.c_[y, y]), X, np.c_[y, y], tmp_path / "x.onnx")

    assert str(error.value) == "expected y to have one column, got 2; multi-label isn't served"


SEVERAL: dict[str, Any] = {
    "several outputs": MultiOutputClassifier(LogisticRegression()),
    "forest": RandomForestClassifier(3),
    "neighbours": KNeighborsClassifier(3),
    "one against the rest": OneVsRestClassifier(LogisticRegression()),
    "chain": ClassifierChain(LogisticRegression()),
}


@pytest.mark.parametrize("model", SEVERAL.values(), ids=SEVERAL)
def test_a_model_of_several_labels_is_refused(model: Any, tmp_path: Path) -> None:
    """Also with one column of y, as the command reads it."""
    X, y = np.arange(16.0).reshape(8, 2), np.array([0, 1] * 4)

    with pytest.raises(ArtifactError) as error:
        export(clone(model).fit(X, np.c_[y, 1 - y]), X, y, tmp_path / "x.onnx")

    got = f"{type(model).__name__}, which was trained on y of shape (n_rows, 2)"
    assert str(error.value) == (
        f"expected a model that was trained on one column of y, got {got}; multi-label isn't served"
    )


def test_something_else_is_no_model(tmp_path: Path) -> None:
    """As a path or a name."""
    with pytest.raises(ArtifactError) as error:
        export("model.pkl", [[1]], [1], tmp_path / "x.onnx")

    expected = "expected a trained model of Keras, PyTorch, CatBoost, XGBoost, LightGBM, scikit-learn"
    assert str(error.value) == f"{expected}, got str"


ROWS: dict[str, tuple[Any, str]] = {
    "not trained": (
        np.zeros((4, 2)),
        (
            "expected LogisticRegression to be trained, and X what it was trained on; scikit-learn says: "
            "This LogisticRegression instance is not fitted yet"
        ),
    ),
    "dates": (
        pd.DataFrame({"when": pd.to_datetime(["2026-11-25"] * 4)}),
        "column 'when': expected numbers, texts or booleans, got Timestamp",
    ),
    "mixed": (
        pd.DataFrame({"mixed": [1, "a", None, True]}),
        "column 'mixed': expected numbers, texts or booleans, got bool, int, str",
    ),
    "infinite": (np.full((4, 1), np.inf), "column 'feature 0': expected finite numbers"),
    "a line": (
        np.zeros(4),
        "expected X to be a DataFrame, or an array of shape (n_rows, n_features), got ndarray of shape (4,)",
    ),
    "one name twice": (
        pd.DataFrame(np.zeros((4, 2)), columns=["a", "a"]),
        "expected columns of different names, got a more than once",
    ),
    "no rows": (np.zeros((0, 2)), "expected X to have columns and rows, got none"),
    "other labels": (np.zeros((3, 2)), "expected a label for each row, got 4 for 3"),
}


@pytest.mark.parametrize(("X", "message"), ROWS.values(), ids=ROWS)
def test_rows_that_arent_such_are_told(X: Any, message: str, tmp_path: Path) -> None:
    """In one line."""
    with pytest.raises(ArtifactError) as error:
        export(LogisticRegression(), X, [0, 1, 0, 1], tmp_path / "x.onnx")

    assert str(error.value) == message


def test_columns_are_wanted_by_their_names(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """In any order, others beside them."""
    X, y = whole(penguins), penguins["species"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)

    export(model, X.assign(island=penguins["island"])[["island", *reversed(NUMBERS)]], y, tmp_path / "x.onnx")
    assert [feature.name for feature in load(tmp_path / "x.onnx").model.features] == NUMBERS

    with pytest.raises(ArtifactError) as error:
        export(model, X[NUMBERS[1:]], y, tmp_path / "x.onnx")
    assert str(error.value) == (
        "expected X to have the columns that the model was trained on, got none called bill_length_mm"
    )


COUNTED: dict[str, Callable[[], Any]] = {
    "search": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1]}
    ),
    "XGBoost": lambda: XGBClassifier(n_estimators=2),
    "LightGBM": lightgbm,
}


@pytest.mark.parametrize("make", COUNTED.values(), ids=COUNTED)
def test_columns_that_arent_the_models_are_named(
    make: Callable[[], Any], penguins: pd.DataFrame, tmp_path: Path
) -> None:
    """Both those that are missing and those that are there instead; of an array, all of them."""
    X, y = whole(penguins), (penguins["species"] == "Adelie").astype(int).rename("is Adelie")
    X.assign(**{"is Adelie": y, "": range(len(X))}).to_csv(tmp_path / "in.csv", index=False)
    X.assign(**{"is Adelie": y, "": range(len(X))}).drop(columns="body_mass_g").to_csv(
        tmp_path / "less.csv", index=False
    )
    options = ("--target", "", "--output", tmp_path / "x.onnx")

    joblib.dump(make().fit(X, y), tmp_path / "named.joblib")
    named = command("export", tmp_path / "named.joblib", tmp_path / "less.csv", *options)
    as_target = command(
        "export", tmp_path / "named.joblib", tmp_path / "in.csv", "--target", "body_mass_g", *options[-2:]
    )
    joblib.dump(make().fit(X.to_numpy(), y), tmp_path / "array.joblib")
    array = command("export", tmp_path / "array.joblib", tmp_path / "in.csv", "--target", "is Adelie", *options[-2:])

    assert named.stderr == (
        "ArtifactError: expected X to have the columns that the model was trained on, got none called body_mass_g, but is "
        "Adelie\n"
    )
    assert as_target.stderr == 'FileError: expected --target and --ignore to be no features, got "body_mass_g"\n'
    assert array.stderr == (
        f'ArtifactError: expected X to have 4 columns, as the model was trained on, got 5: {", ".join(NUMBERS)}, ""; leave '
        "out what is no feature, in files by --ignore\n"
    )


CATEGORIES: dict[str, Callable[[], Any]] = {
    "XGBoost": lambda: XGBClassifier(n_estimators=2, enable_categorical=True),
    "LightGBM": lightgbm,
}


@pytest.mark.parametrize("make", CATEGORIES.values(), ids=CATEGORIES)
def test_categories_that_a_csv_gives_as_texts_are_named(
    make: Callable[[], Any], penguins: pd.DataFrame, tmp_path: Path
) -> None:
    """As in a DataFrame that has them; of numbers, that the model has its own."""
    y = (penguins["species"] == "Adelie").astype(int).rename("y")
    X = penguins[[*NUMBERS, *TEXTS, "year"]]
    texts = make().fit(X.astype(dict.fromkeys(TEXTS, "category")), y)
    years = make().fit(X[["year"]].astype("category"), y)
    joblib.dump(texts, tmp_path / "model.joblib")
    X.assign(y=y).to_csv(tmp_path / "in.csv", index=False)

    result = command(
        "export", tmp_path / "model.joblib", tmp_path / "in.csv", "--target", "y", "--output", tmp_path / "x.onnx"
    )
    with pytest.raises(ArtifactError) as error:
        export(years, X[["year"]], y, tmp_path / "x.onnx")

    assert result.stderr == (
        f"ArtifactError: expected numbers for the export of {type(texts).__name__}, got texts in island, sex; encode them "
        "before it, or in a Pipeline of scikit-learn\n"
    )
    assert str(error.value).endswith(
        "; models that were trained only on numbers, without own categories, are converted"
    )


def test_the_column_of_a_text_that_is_no_number_is_named(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """Not those that the model takes as texts."""
    X = penguins[[*NUMBERS, *TEXTS]]
    model = make_pipeline(prepare(OneHotEncoder()), LogisticRegression(max_iter=1000)).fit(X, penguins["species"])
    X = X.astype({"body_mass_g": object})
    X.loc[5, "body_mass_g"] = "?"

    with pytest.raises(ArtifactError) as error:
        export(model, X.astype({"body_mass_g": str}), penguins["species"], tmp_path / "x.onnx")

    assert str(error.value) == (
        "expected numbers for the export of Pipeline, got texts in body_mass_g; encode them before it, or in a Pipeline of "
        "scikit-learn"
    )


WITHOUT = """
import sys

sys.modules["{package}"] = None
from sklearn.linear_model import LogisticRegression

from model.export import export

export(LogisticRegression().fit([[0], [1]], [0, 1]), [[0], [1]], [0, 1], "x.onnx")
"""


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("onnx", "ImportError: model.export writes with the package onnx, which is missing"),
        ("skl2onnx", "function.errors.ArtifactError: expected the package skl2onnx to export scikit-learn"),
    ],
)
def test_a_package_that_is_missing_is_named(package: str, message: str) -> None:
    """With what installs it."""
    command = [sys.executable, "-c", WITHOUT.format(package=package)]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    *_, last = result.stderr.splitlines()
    assert re.sub("[:;] `make", "; `make", last) == f"{message}; `make model` installs it"


def test_kinds_of_gaps_in_texts_that_cant_be_told_apart(penguins: pd.DataFrame, tmp_path: Path) -> None:
    """Null is only one kind."""
    X = penguins.astype({"sex": object}).assign(sex=lambda table: table["sex"].where(penguins.index > 5, None))
    X.loc[9, "sex"] = np.nan
    model = make_pipeline(prepare(OneHotEncoder()), LogisticRegression(max_iter=1000)).fit(X, X["species"])
    assert {type(category) for category in model[0].named_transformers_["texts"].categories_[1]} > {type(None), float}

    with pytest.raises(ArtifactError) as error:
        export(model, X, X["species"], tmp_path / "x.onnx")

    assert str(error.value) == (
        "expected one kind of missing value in a column of texts, got both None and NaN; use only one"
    )


def test_a_pickle_is_exported_by_the_command_line(tmp_path: Path) -> None:
    """With the files that it was trained on, and others to say how good it is."""
    table = load_penguins().dropna()
    X, y = table[["bill_length_mm", "body_mass_g"]], table["species"]
    joblib.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(X[::2], y[::2]), tmp_path / "model.joblib")
    table[::2].to_csv(tmp_path / "train.csv", index=False)
    table[1::2].to_parquet(tmp_path / "holdout.parquet")
    ignored = [
        part for name in ("island", "bill_depth_mm", "flipper_length_mm", "sex", "year") for part in ("--ignore", name)
    ]

    result = command("export", tmp_path / "model.joblib", tmp_path / "train.csv", "--target", "species", *ignored,
                     "--holdout", tmp_path / "holdout.parquet", "--output", tmp_path / "model.onnx")  # fmt: skip
    none = command(
        "export", tmp_path / "train.csv", tmp_path / "train.csv", "--target", "species", "--output", "x.onnx"
    )

    assert (result.returncode, result.stderr) == (0, "")
    model = load(tmp_path / "model.onnx").model
    assert (model.training or {})["accuracy_from"] == "166 rows that it wasn't trained on"
    assert none.stderr == (f"ArtifactError: {tmp_path}/train.csv: not a model that can be loaded here; {SWAPPED}\n")


SWAPPED = "this seems to be a table; give the model first, then the files of its training data"
IN_PYTHON = "load it in Python where it was trained, and call export() there, or joblib.dump it"
CUT = "the file ends too early; write or copy it again"
XGBOOST = "this is XGBoost's own format"
ARTIFACT = "this is an ONNX model already; python -m model describe adds the facts"
NO_PICKLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "ONNX": (lambda path: path.write_bytes(shipped_model().read_bytes()), ARTIFACT),
    "JSON lines": (lambda path: path.write_text('{"a": 1}\n'), SWAPPED),
    "Parquet": (lambda path: pd.DataFrame({"a": [1]}).to_parquet(path), SWAPPED),
    "XGBoost, JSON": (lambda path: path.write_bytes(booster().save_raw("json")), f"{XGBOOST}; {IN_PYTHON}"),
    "XGBoost, UBJSON": (lambda path: path.write_bytes(booster().save_raw("ubj")), f"{XGBOOST}; {IN_PYTHON}"),
    "zip": (
        lambda path: path.write_bytes(b"PK\x03\x04\0\0"),
        f"this is a zip file, as PyTorch and Keras write it; {IN_PYTHON}",
    ),
    "cut": (lambda path: path.write_bytes(pickle.dumps(LogisticRegression())[:-9]), CUT),
    "cut, compressed": (lambda path: path.write_bytes(compressed(path)[:-9]), CUT),
    "empty": (lambda path: path.touch(), CUT),
    "a class of a script": (
        lambda path: path.write_bytes(b"\x80\x04c__main__\nLogFare\n."),
        "LogFare was defined in a script or a notebook; call export() there, in Python",
    ),
    "a module that is missing": (
        lambda path: path.write_bytes(b"\x80\x04cmy_steps\nLogFare\n."),
        "No module named 'my_steps'; install it or, if it is a module of yours, name its folder in PYTHONPATH",
    ),
}


def booster() -> Any:
    return XGBClassifier(n_estimators=1).fit([[0], [1]], [0, 1]).get_booster()


def compressed(path: Path) -> bytes:
    joblib.dump(LogisticRegression(), path, compress=3)
    return path.read_bytes()


@pytest.mark.parametrize(("write", "reason"), NO_PICKLES.values(), ids=NO_PICKLES)
def test_a_file_of_another_kind_is_no_model(write: Callable[[Path], object], reason: str, tmp_path: Path) -> None:
    """It is recognized, and what helps is said."""
    write(tmp_path / "model.joblib")

    result = command("export", tmp_path / "model.joblib", "in.csv", "--target", "y", "--output", "x.onnx")

    assert result.stderr == f"ArtifactError: {tmp_path}/model.joblib: not a model that can be loaded here; {reason}\n"


EXPORT_FORMATS: dict[str, Any] = {
    "in.csv": lambda table, path: table.to_csv(path, index=False),
    "commas.csv": lambda table, path: table.to_csv(path, index=False, sep=";", decimal=","),
    "in.jsonl": lambda table, path: table.to_json(path, orient="records", lines=True),
    "in.parquet": lambda table, path: table.to_parquet(path),
}


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_a_pickle_is_exported_by_files_of_every_format(name: str, penguins: pd.DataFrame, tmp_path: Path) -> None:
    """As by the DataFrame, with gaps, texts, dates that are no features, and an index that is none either."""
    y = penguins["species"].map({"Adelie": 0, "Chinstrap": 1, "Gentoo": 2}).rename("y")
    X = penguins.drop(columns="species")
    model = make_pipeline(prepare(OneHotEncoder()), LogisticRegression(max_iter=1000)).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    EXPORT_FORMATS[name](X.assign(y=y, day="2026-11-26")[::-1], tmp_path / name)
    export(model, X[::-1], y[::-1], tmp_path / "frame.onnx", version=3)

    result = command("export", tmp_path / "model.joblib", tmp_path / name, "--target", "y",
                     "--version", "3", "--output", tmp_path / "file.onnx")  # fmt: skip

    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "file.onnx").read_bytes() == (tmp_path / "frame.onnx").read_bytes()
    assert load(tmp_path / "file.onnx").model.version == "3"


def test_a_version_that_is_none_is_refused(tmp_path: Path) -> None:
    """Before anything is done."""
    with pytest.raises(ArtifactError) as error:
        export(None, None, None, tmp_path / "x.onnx", version="3")  # type: ignore[arg-type]

    assert str(error.value) == "expected the version to be a whole number from 1 on, got '3'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected rows, got an empty file"),
        ("a,y\n", "expected rows, got none"),
        ("a,y\n1,x\n2\n", "line 3: expected 2 cells, as the header has, got 1"),
    ],
)
def test_a_file_that_shows_no_rows_is_refused(text: str, message: str, tmp_path: Path) -> None:
    """In one line."""
    joblib.dump(LogisticRegression().fit([[0], [1]], [0, 1]), tmp_path / "model.joblib")
    (tmp_path / "in.csv").write_text(text)

    result = command("export", tmp_path / "model.joblib", tmp_path / "in.csv", "--target", "y", "--output", "x.onnx")

    path = f"{tmp_path}/in.csv"
    assert result.stderr == f"FileError: {path}{',' if message.startswith('line') else ':'} {message}\n"


def test_the_version_that_wrote_a_pickle_is_told_once(
    penguins: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not for each part of the pipeline."""
    X, y = whole(penguins), penguins["species"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    with monkeypatch.context() as other:
        other.setattr("sklearn.base.__version__", "1.5.2")
        joblib.dump(model, tmp_path / "model.joblib")

    read_pickle(tmp_path / "model.joblib")

    assert capsys.readouterr().err == (
        f"warning: {tmp_path / 'model.joblib'}: written by scikit-learn 1.5.2, here is {sklearn.__version__}; if the export "
        "fails or differs, `.venv/bin/pip install scikit-learn==1.5.2`\n"
    )


def test_booleans_among_texts_are_told(tmp_path: Path) -> None:
    """Where skl2onnx names neither."""
    X = pd.DataFrame({"plan": ["a", "b", "c"] * 20, "senior": [True, False] * 30})
    y = ["yes", "no"] * 30
    model = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(), LogisticRegression()).fit(X, y)

    with pytest.raises(
        ArtifactError, match="booleans and texts in one encoder after a SimpleImputer; give the booleans"
    ):
        export(model, X, y, tmp_path / "x.onnx")


def test_an_unknown_number_is_none_of_the_largest_categories(tmp_path: Path) -> None:
    """Such as of ids, to which 1 can't be added."""
    X = np.array([[1e17], [-1e17], [5.0]] * 20)
    y = np.array(["a", "b", "a"] * 20)
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(X, y)

    export(model, X, y, tmp_path / "x.onnx")

    rows = [[1e17], [5.0], [7.0], [-3e17]]
    assert np.abs(load(tmp_path / "x.onnx").predict(rows) - model.predict_proba(rows)).max() < TOLERANCE
