"""Finds out whether clients of one version of a model can use another: what they send, and what they read."""

from collections.abc import Iterator

from function.classifier import Model
from function.classifier.model import BOOL, FLOATS, cut


def find_breaks(old: Model, new: Model) -> list[str]:
    """Return what breaks clients of the old model, a line each."""
    return [*_compare_features(old, new), *_compare_labels(old, new), *_compare_tensors(old, new)]


def _compare_features(old: Model, new: Model) -> Iterator[str]:
    names = [[feature.name for feature in model.features] for model in (old, new)]
    if names[0] != names[1]:
        lost, added = (sorted(set(names[a]) - set(names[b])) for a, b in ((0, 1), (1, 0)))
        if lost or added:
            yield f"features: {_list('lost', lost)}{'; ' if lost and added else ''}{_list('added', added)}"
        else:
            yield f"features: in another order, {cut(', '.join(names[1]), 200)}"
        return
    rows = zip(names[0], old.columns.types, new.columns.types, old.columns.fills, new.columns.fills, strict=True)
    for place, (name, type, other, fill, other_fill) in enumerate(rows):
        if type != other and not (type in FLOATS and other in FLOATS):
            yield f"feature {name}: {type} before, {other} now"
        if fill is not None and other_fill is None:
            yield f"feature {name}: null was accepted before, and is refused now"
        if old.columns.booleans[place] and not (new.columns.booleans[place] or other == BOOL):
            yield f"feature {name}: true and false were accepted before, and are refused now"
        values, others = old.features[place].values, new.features[place].values
        if values and others and (lost := sorted(set(values) - set(others))):
            yield f"feature {name}: {_list('lost', lost)}"


def _compare_labels(old: Model, new: Model) -> Iterator[str]:
    lost, added = (sorted(set(a.labels) - set(b.labels)) for a, b in ((old, new), (new, old)))
    if lost or added:
        yield f"labels: {_list('lost', lost)}{'; ' if lost and added else ''}{_list('added', added)}"
    elif old.labels != new.labels:
        yield f"labels: in another order, {cut(', '.join(new.labels), 200)}"


def _compare_tensors(old: Model, new: Model) -> Iterator[str]:
    """Compare the tensors of the Open Inference Protocol."""
    inputs, others = ([(input.name, input.type) for input in model.signature.inputs] for model in (old, new))
    if inputs != others:
        yield f"/v2 inputs: {_tensors(inputs)} before, {_tensors(others)} now"
    names = [(model.signature.output_name, _served_label(model)) for model in (old, new)]
    if names[0] != names[1]:
        yield f"/v2 outputs: {_join(names[0])} before, {_join(names[1])} now"


def _served_label(model: Model) -> str | None:
    return model.signature.label_name if model.label_rule == "MODEL" else None


def _tensors(inputs: list[tuple[str, str]]) -> str:
    return cut(", ".join(f"{name} {type}" for name, type in inputs), 200)


def _join(names: tuple[str | None, ...]) -> str:
    return ", ".join(name for name in names if name)


def _list(what: str, names: list[str]) -> str:
    return cut(f"{what} {', '.join(names)}", 300) if names else ""
