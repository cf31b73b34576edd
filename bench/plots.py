"""The pictures of docs/performance.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from bench.measuring import Findings

_OURS, _OTHERS = "#2f6fb2", "#b9bec6"


def draw(found: Mapping[str, Findings], folder: Path) -> None:
    """Every picture whose figures are there."""
    if {"counts", "rates", "verdicts"} <= found.keys():
        _peers(found, folder / "peers.png")
    if "scaling" in found:
        _scaling(found["scaling"].data, folder / "scaling.png")


def _peers(found: Mapping[str, Findings], file: Path) -> None:
    """Speed and write units, and beside each name how often it is right."""
    rates, units = found["rates"].data["rates"], found["counts"].data["units"]
    verdicts = found["verdicts"].data["verdicts"]
    names = list(rates)[::-1]
    labels = [
        f"{name}\nexact in {sum(v == 'exact' for v in verdicts[name].values())} of {len(verdicts[name])} scenarios"
        for name in names
    ]
    colours = [_OURS if name == next(iter(rates)) else _OTHERS for name in names]
    figure, (speed, writes) = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, layout="constrained")
    bars = speed.barh(labels, [rates[name] for name in names], color=colours)
    speed.bar_label(bars, [f"{rates[name]:,.0f}" for name in names], padding=3)
    speed.set(title="Records a second (log)", xscale="log", xlim=(None, 4 * max(rates.values())))
    bars = writes.barh(labels, [units[name]["write_units"] for name in names], color=colours)
    writes.bar_label(bars, [f"{units[name]['write_units']:.2f}" for name in names], padding=3)
    writes.set(title="Write units a record", xlim=(0, 3.6))
    for axes in (speed, writes):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)
    plt.close(figure)


def _scaling(data: Mapping[str, Any], file: Path) -> None:
    """Records a second against each setting, and the seconds of a batch against its size."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), layout="constrained")
    for place, name, title in (
        (axes[0, 0], "batch", "records in a batch, of 100 users"),
        (axes[0, 1], "users", "users of 10,000 records"),
        (axes[1, 0], "concurrency", "transactions at once"),
        (axes[1, 1], "memory", "MB of memory, as a share of a core"),
    ):
        points = data[name]
        place.plot(list(points), [each["records_a_second"] for each in points.values()], "o-", color=_OURS)
        place.set(title=title, ylim=(0, None))
        place.set_ylabel("records a second")
        place.spines[["top"]].set_visible(False)
        place.tick_params(axis="x", labelsize=8)
    seconds = axes[0, 0].twinx()
    seconds.plot(
        list(data["batch"]), [1000 * each["seconds"] for each in data["batch"].values()], "s:", color="#c2703d"
    )
    seconds.set_ylabel("ms a batch (dotted)")
    seconds.set_ylim(0, None)
    seconds.spines[["top"]].set_visible(False)
    figure.savefig(file, dpi=120)
    plt.close(figure)
