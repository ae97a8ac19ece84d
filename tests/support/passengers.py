"""Passengers in the shape of the Titanic's, as seaborn has them: gaps, and a column of 0 and 1 before the target."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FEATURES = ["pclass", "sex", "age", "fare"]


def passengers() -> pd.DataFrame:
    """300 rows, a fifth of them without an age."""
    generator = np.random.default_rng(0)
    n = 300
    table = pd.DataFrame(
        {
            "pclass": generator.integers(1, 4, n).astype("float32"),
            "sex": generator.choice(["female", "male"], n, p=[0.35, 0.65]),
            "age": generator.normal(30, 12, n).clip(1, 80).round().astype("float32"),
            "fare": generator.gamma(1.2, 27, n).round(2).astype("float32"),
            "alone": generator.integers(0, 2, n),
        }
    )
    odds = 1.5 + 2.2 * (table["sex"] == "female") - 1.1 * table["pclass"]
    table["survived"] = (generator.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    table.loc[generator.random(n) < 0.2, "age"] = np.nan
    return table


def train(table: pd.DataFrame) -> Pipeline:
    """Train on the features; a text that isn't known is ignored."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = make_column_transformer(
        (numbers, ["pclass", "age", "fare"]), (OneHotEncoder(handle_unknown="ignore"), ["sex"])
    )
    return make_pipeline(columns, LogisticRegression()).fit(table[FEATURES], table["survived"])


def export_passengers(path: Path) -> Pipeline:
    """Write the model as `model.export` does."""
    from model.export import export  # noqa: PLC0415 - a second of imports

    table = passengers()
    model = train(table)
    export(model, table[FEATURES], table["survived"], path)
    return model
