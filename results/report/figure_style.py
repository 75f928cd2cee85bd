"""The look of all figures: one journal column wide, in colours that colour-blind readers can tell apart."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

WIDTH = 3.5  # inches
# The palette of Okabe and Ito. The markers distinguish the lines in a black-and-white print.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GRAY = "#999999"


def styled(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator: the function draws with our fonts, lines and axes."""
    style: dict[Any, Any] = {
        "font.size": 7,
        "axes.titlesize": 7,
        "legend.fontsize": 6.5,
        "lines.linewidth": 1.1,
        "lines.markersize": 3.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "placement",  # makes the SVG of the same data the same file
    }

    @wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> T:
        with plt.rc_context(style):
            return function(*args, **kwargs)

    return draw


@styled
def files(figure: Figure) -> dict[str, bytes]:
    """The figure as `svg` and `png` (300 dpi); the figure is closed."""
    contents = {}
    for suffix, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
        content = io.BytesIO()
        figure.savefig(content, format=suffix, dpi=300, metadata=metadata)
        contents[suffix] = content.getvalue()
    plt.close(figure)
    return contents


def new_figure(title: str, panels: int, height: float) -> tuple[Figure, Sequence[Axes]]:
    """A figure `height` inches high with `panels` axes above each other."""
    figure, axes = plt.subplots(panels, figsize=(WIDTH, height), layout="constrained", squeeze=False)
    figure.suptitle(title.replace("$", r"\$"), fontsize=7)
    column = list(axes[:, 0])
    for panel in column:
        panel.grid(alpha=0.25, lw=0.5)
    return figure, column


def add_legend(figure: Figure, axes: Axes) -> None:
    """A legend of the labelled artists of `axes`, in two columns below the figure."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=6.5, handlelength=1.8)


def label_once(axes: Axes, label: str) -> str:
    """`label` for the first artist that has it, then a hidden one: matplotlib omits labels that begin with `_`."""
    is_shown = any(line.get_label() == label for line in axes.lines)  # ends at the first: there may be thousands
    return f"_{label}" if is_shown else label
