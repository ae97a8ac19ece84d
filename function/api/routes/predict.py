"""Rows in, probabilities and labels out."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from function.api.inference import Runner
from function.api.limits import check_n_rows
from function.api.responses import JSON
from function.api.rows import read_rows
from function.api.schemas import Prediction, PredictionBatch, PredictionLabel, declare_body
from function.classifier import Classifier
from function.classifier.inputs import to_arrays
from function.observability.access import Record


def create_router(runner: Runner, **options: Any) -> APIRouter:
    router = APIRouter(tags=["predict"], **options)
    _add_sample_routes(router, runner.classifier)
    _add_row_routes(router, runner)
    return router


def _add_sample_routes(router: APIRouter, classifier: Classifier) -> None:
    sample = [classifier.model.sample]

    @router.get("/predict/test", response_model=Prediction)
    async def predict_test(request: Request) -> Response:
        """Run the model's own sample."""
        return JSON({"prediction": classifier.predict(sample)[0]})

    @router.get("/predict/test/label", response_model=PredictionLabel)
    async def predict_test_label(request: Request) -> Response:
        """Run the model's own sample and return its label."""
        return JSON({"prediction": classifier.predict_label(sample)[0]})


def _add_row_routes(router: APIRouter, runner: Runner) -> None:
    classifier, limits = runner.classifier, runner.limits
    columns = classifier.model.columns
    one_row, batch = declare_body(classifier.model, 1), declare_body(classifier.model, limits.max_rows)

    @router.post("/predict", response_model=Prediction, **one_row)
    async def predict(request: Request) -> Response:
        """Return one row's class probabilities, in the order of /label."""
        body = await runner.read_body(request)
        return JSON({"prediction": runner.infer_row(request.scope["record"], body).probabilities[0]})

    @router.post("/predict/label", response_model=PredictionLabel, **one_row)
    async def predict_label(request: Request) -> Response:
        """Return one row's label: the model's own, or that with the highest probability, as /metadata says."""
        body = await runner.read_body(request)
        return JSON({"prediction": classifier.name_classes(runner.infer_row(request.scope["record"], body))[0]})

    @router.post("/predict/batch", response_model=PredictionBatch, **batch)
    async def predict_batch(request: Request) -> Response:
        """Return every row's probabilities and label, in order."""
        record: Record = request.scope["record"]
        rows = read_rows(await runner.read_body(request), columns)
        record.n_rows = len(rows)
        check_n_rows(len(rows), limits, ("data",))

        def answer() -> Response:
            prediction = runner.infer(record, to_arrays(columns, rows))
            return JSON({"prediction": prediction.probabilities, "label": classifier.name_classes(prediction)})

        return await runner.answer(len(rows), answer)
