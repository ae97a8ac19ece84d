"""What docs/files.md works on: two versions of a model of penguins, a holdout, and a folder of files.

python -m tests.support.penguin_files FOLDER
"""

import contextlib
import io
import sys
from pathlib import Path

from palmerpenguins import load_penguins
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from model.export import export

TEXTS = ["island", "sex"]


def main(folder: Path) -> None:
    table = load_penguins()
    train, holdout = train_test_split(table, test_size=0.4, random_state=0, stratify=table["species"])
    X, y = train.drop(columns="species"), train["species"]
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    for name, numbers, estimator in (
        ("v1", SimpleImputer(), DecisionTreeClassifier(max_depth=2)),  # scaled, it would take float64
        ("v2", scaled, LogisticRegression(max_iter=1000)),
    ):
        columns = make_column_transformer(
            (numbers, X.select_dtypes("number").columns),
            (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), TEXTS),
        )
        with contextlib.redirect_stdout(io.StringIO()):
            export(make_pipeline(columns, estimator).fit(X, y), X, y, folder / f"{name}.onnx", tolerance=1e-4)
    holdout.to_csv(folder / "holdout.csv", index=False)
    (folder / "birds").mkdir()
    for year, rows in table.drop(columns="species").groupby("year"):
        rows.to_csv(folder / "birds" / f"{year}.csv", index=False)
    with (folder / "birds" / "2009.csv").open("a") as file:
        file.write("Torgersen,39.1,18.7,wide,3750.0,male,2009\nAnticosti,39.1,18.7,181.0,3750.0,male,2009\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
