"""`model.export` of PyTorch and Keras, run by test_networks.py in an environment that has them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from function.classifier import load, load_bytes
from function.errors import ArtifactError
from model.export import export
from tests.integration.test_readme import EXPORTERS, run_row
from tests.support.models import SEED, wine

os.environ["KERAS_BACKEND"] = "torch"
import keras

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
TOLERANCE = 1e-5  # float32's 7 digits, less what the sums of a model lose


@pytest.fixture(scope="module")
def rows() -> tuple[NDArray[np.float32], NDArray[Any]]:
    values, names = wine("names")
    return ((values - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32), names


def train_torch(X: NDArray[np.float32], y: NDArray[np.int64], n_out: int) -> Any:
    torch.manual_seed(SEED)
    layers = (
        torch.nn.Linear(13, 16),
        torch.nn.BatchNorm1d(16),
        torch.nn.ReLU(),
        torch.nn.Dropout(),
        torch.nn.Linear(16, n_out),
    )
    module = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    for _ in range(50):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(torch.tensor(X)), torch.tensor(y)).backward()
        optimizer.step()
    return module


def test_pytorch(rows: tuple[NDArray[np.float32], NDArray[Any]], tmp_path: Path) -> None:
    """A module that ends in a softmax, as it answers without dropout, whatever mode it is left in."""
    X, names = rows
    logits = train_torch(X, np.unique(names, return_inverse=True)[1], 3)
    module = torch.nn.Sequential(logits, torch.nn.Softmax(dim=1)).train()

    certificate = export(module, X, names, tmp_path / "wine.onnx")

    assert module.training
    assert (certificate.framework, certificate.rows) == (f"PyTorch {torch.__version__}", 178)
    classifier = load(tmp_path / "wine.onnx")
    assert classifier.model.labels == ("class_0", "class_1", "class_2")
    expected = module.eval()(torch.tensor(X)).detach().numpy()
    assert np.abs(classifier.predict(X.tolist()) - expected).max() <= TOLERANCE


def test_the_readmes_row_for_pytorch(
    rows: tuple[NDArray[np.float32], NDArray[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without facts, with a softmax after the logits."""
    X, names = rows
    model = train_torch(X, np.unique(names, return_inverse=True)[1], 3)
    monkeypatch.chdir(tmp_path)

    classifier = load_bytes(run_row(EXPORTERS["PyTorch"], model=model, torch=torch), name="wine")

    expected = torch.softmax(model.eval()(torch.tensor(X)), dim=1).detach().numpy()
    assert np.abs(classifier.predict(X.tolist()) - expected).max() <= TOLERANCE


def test_logits_are_refused(rows: tuple[NDArray[np.float32], NDArray[Any]], tmp_path: Path) -> None:
    """With what to do about it."""
    X, names = rows
    with pytest.raises(ArtifactError) as error:
        export(train_torch(X, np.unique(names, return_inverse=True)[1], 3), X, names, tmp_path / "wine.onnx")

    expected = "expected a network that gives probabilities of at least 0 that sum to 1"
    assert str(error.value) == f"{expected}; end it with a softmax, or with one sigmoid"


@pytest.mark.parametrize("is_binary", [False, True], ids=["softmax", "sigmoid"])
def test_keras(
    is_binary: bool,  # noqa: FBT001
    rows: tuple[NDArray[np.float32], NDArray[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model that ends in a softmax, or in one sigmoid."""
    X, names = rows
    y = (names == "class_1").astype(int) if is_binary else np.unique(names, return_inverse=True)[1]
    keras.utils.set_random_seed(SEED)
    last = keras.layers.Dense(1, "sigmoid") if is_binary else keras.layers.Dense(3, "softmax")
    model = keras.Sequential([keras.Input((13,)), keras.layers.Dense(16, "relu"), last])
    model.compile("adam", "binary_crossentropy" if is_binary else "sparse_categorical_crossentropy")
    model.fit(X, y, epochs=30, verbose=0)

    certificate = export(model, X, y, tmp_path / "wine.onnx")
    monkeypatch.chdir(tmp_path)
    as_in_readme = load_bytes(run_row(EXPORTERS["Keras"], model=model), name="wine")

    assert (certificate.framework, certificate.rows) == (f"Keras {keras.__version__}", 178)
    classifier = load(tmp_path / "wine.onnx")
    expected = np.asarray(model.predict(X, verbose=0))
    expected = np.hstack([1 - expected, expected]) if is_binary else expected
    assert np.abs(classifier.predict(X.tolist()) - expected).max() <= TOLERANCE
    assert np.abs(as_in_readme.predict(X.tolist()) - expected).max() <= TOLERANCE
    assert classifier.model.labels == tuple(map(str, range(2 if is_binary else 3)))
