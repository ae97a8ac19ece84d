"""Draws the plots out of the figures that speed.py and cold_start.py wrote, in greys and colours for light and dark pages.

Usage: python plots.py FIGURES.json... (tests/benchmark/plots.txt says with which packages)
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from cycler import cycler

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

GREY, OWN, OTHER = "#808080", "#2f81f7", "#80808080"
COLOURS = (OWN, "#d9822b", "#3a9d5d", "#b065c8", "#d0504f", "#8a8f00")
STYLE = {
    "svg.hashsalt": "plots",  # the same bytes for the same figures
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
    "legend.frameon": False,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), GREY
    ),
}
SERIES = {"json": "JSON", "binary": "binary tensors", "onnxruntime": "ONNX Runtime alone"}


def throughput(figures: Mapping[str, Any]) -> Figure:
    rates = figures["throughput"]["requests_per_second"]
    return bars(rates, "requests of one row per second", "{:,.0f}")


def latency(figures: Mapping[str, Any]) -> Figure:
    steady = figures["throughput"]["steady"]
    figure, axes = plt.subplots(figsize=(7, 3.6))
    for name, rounds in steady["milliseconds"].items():
        percents = list(rounds[0])
        axes.plot(
            percents, [median(times[p] for times in rounds) for p in percents], marker="o", markersize=4, label=name
        )
    axes.set(xlabel="percentile", ylabel="ms to answer one row", yscale="log")
    axes.set_title(f"at {steady['rate']:,.0f} requests/s", color=GREY, fontsize=10)
    axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def batch(figures: Mapping[str, Any]) -> Figure:
    figure, axes = plt.subplots(figsize=(7, 3.6))
    lines(axes, figures["growth"], "rows", milliseconds=True)
    axes.set(ylabel="ms a request, in process", xscale="log", yscale="log")
    return figure


def growth(figures: Mapping[str, Any]) -> Figure:
    figure, both = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True)
    for axes, what in zip(both, ("features", "classes"), strict=True):
        lines(axes, figures["growth"], what)
        axes.set(ylim=(0, None))
    both[0].set(ylabel="µs a request of one row, in process")
    both[1].get_legend().remove()
    return figure


def cold_start(figures: Mapping[str, Any]) -> Figure:
    return bars(figures["cold_start"], "ms of a cold start's init phase", "{:.0f}")


def scoring(figures: Mapping[str, Any]) -> Figure:
    """Time and memory of `model score` against the rows of a file, each in its own axes."""
    figure, both = plt.subplots(1, 2, figsize=(7, 3.2))
    rounds = figures["scoring"]["growth"]
    rows = [int(name.replace(",", "")) for name in rounds]
    for axes, what, label in zip(
        both, ("seconds", "megabytes"), ("s, the whole command", "MB at most (RSS)"), strict=True
    ):
        middles = [median(one[what] for one in runs) for runs in rounds.values()]
        axes.plot(rows, middles, marker="o", markersize=4, color=OWN)
        axes.set(xlabel="rows of Parquet", ylabel=label, ylim=(0, None))
    figure.tight_layout()
    return figure


def bars(rounds: Mapping[str, Sequence[float]], label: str, spec: str) -> Figure:
    """One bar a system, ours in its own colour, and the rounds' least and most as a whisker."""
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.38 * len(rounds)))
    middles = [median(values) for values in rounds.values()]
    reach = [
        [middle - min(values) for middle, values in zip(middles, rounds.values(), strict=True)],
        [max(values) - middle for middle, values in zip(middles, rounds.values(), strict=True)],
    ]
    colours = [OWN if name.startswith("this") else OTHER for name in rounds]
    axes.barh(list(rounds), middles, xerr=reach, color=colours, error_kw={"ecolor": GREY, "elinewidth": 1}, height=0.65)
    for index, (middle, most) in enumerate(zip(middles, reach[1], strict=True)):
        axes.text(middle + most, index, " " + spec.format(middle), va="center")
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    axes.set(xlabel=label)
    return figure


def lines(axes: Axes, rounds: Mapping[str, Any], what: str, *, milliseconds: bool = False) -> None:
    found = {int(name.split()[0].replace(",", "")): times for name, times in rounds.items() if name.endswith(what)}
    for route, label in SERIES.items():
        values = [median(times[route] for times in rounds) for rounds in found.values()]
        axes.plot(list(found), [v / 1000 if milliseconds else v for v in values], marker="o", markersize=4, label=label)
    axes.set(xlabel=what)
    axes.legend(fontsize=9)


PLOTS = {
    "throughput": (throughput, "throughput"),
    "latency": (latency, "throughput"),
    "batch": (batch, "growth"),
    "growth": (growth, "growth"),
    "cold_start": (cold_start, "cold_start"),
    "scoring": (scoring, "scoring"),
}


def main(*paths: str) -> None:
    figures: dict[str, Any] = {}
    for path in paths:
        figures |= json.loads(Path(path).read_text())
    with mpl.rc_context(STYLE):
        for name, (draw, needs) in PLOTS.items():
            if needs in figures and not (name == "latency" and "steady" not in figures[needs]):
                figure = draw(figures)
                where = Path(__file__).with_name(f"{name}.svg")
                figure.savefig(where, transparent=True, bbox_inches="tight", metadata={"Date": None})
                plt.close(figure)


if __name__ == "__main__":
    main(*sys.argv[1:])
