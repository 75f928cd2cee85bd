"""Tables of numbers as tables of text: rounding, units and bold, one string per cell. A missing number is "-"."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import pandas as pd


def typeset(table: pd.DataFrame) -> pd.DataFrame:
    """The cells of a result table as text.

    `**` marks the best mean and all rows not significantly worse, unless that is every row. Columns that say nothing
    new are left out: the placement if it is the row's name, and the state if every row is done.
    """
    rows: list[Any] = list(table.itertuples())
    has_placement_as_name = table["row"] == table["placement"]
    spelled = table["placement"].map(spell)
    text = pd.DataFrame(
        {
            "row": table["row"].where(~has_placement_as_name, spelled),
            "stages 1 to 4": spelled,
            "test top-1 %": _test_top1(table),
            "seeds": table["seeds"].map(str),
            "difference": [_difference(row) for row in rows],
            "verdict": [_verdict(row) for row in rows],
            "p": table["p"].map(_probability),
            "P(better)": table["p_better"].map(_probability),
            "paper": [_paper(row) for row in rows],
            "params": table["num_params"].map(_magnitude),
            "FLOPs": table["flops"].map(_magnitude),
            "images/s": table["images_per_second"].map(_or_dash("{:,.0f}".format)),
            "val top-1 %": [_val_top1(row) for row in rows],
            "state": [_state(row) for row in rows],
        }
    )
    if has_placement_as_name.all():
        text = text.drop(columns="stages 1 to 4")
    if (table["status"] == "done").all():
        text = text.drop(columns="state")
    return text


def typeset_plainly(table: pd.DataFrame) -> pd.DataFrame:
    """The cells of any table as text: numbers with two decimals, the column `p` as probabilities."""
    two_decimals = _or_dash("{:.2f}".format)
    text: dict[Hashable, pd.Series] = {}
    for name, column in table.items():
        if name == "p":
            text[name] = column.map(_probability)
        elif column.dtype.kind == "f":
            text[name] = column.map(two_decimals)
        else:
            text[name] = column.map(str)
    return pd.DataFrame(text)


def spell(placement: str) -> str:
    """`dwconv-cska.h8-attn-attn` as `DW CSKA.h8 ATTN ATTN`."""
    stages = []
    for stage in placement.split("-"):
        mixer, dot, switches = stage.partition(".")
        short = mixer.upper().replace("DWCONV", "DW")
        stages.append(short + dot + switches)
    return " ".join(stages)


def _test_top1(table: pd.DataFrame) -> list[str]:
    """Mean and standard deviation of each row, bold as `typeset` says."""
    measured = table["test_top1"].notna()
    all_tied = table["tied_best"][measured].all()
    cells = []
    for mean, sd, tied_best in zip(table["test_top1"], table["test_sd"], table["tied_best"], strict=True):
        cell = _one_decimal(mean) if pd.isna(sd) else f"{mean:.1f} ± {sd:.1f}"
        cells.append(f"**{cell}**" if tied_best and not all_tied else cell)
    return cells


def _difference(row: Any) -> str:
    if not pd.isna(row.forecast):
        return f"forecast {row.forecast:+.1f} [{row.forecast_low:+.1f}, {row.forecast_high:+.1f}]"
    if pd.isna(row.difference):
        return "baseline" if row.placement == row.baseline else "-"
    if pd.isna(row.low):
        return f"{row.difference:+.1f}"
    return f"{row.difference:+.1f} [{row.low:+.1f}, {row.high:+.1f}]"


def _verdict(row: Any) -> str:
    if row.verdict == "unresolved" and not pd.isna(row.seeds_needed):
        return f"unresolved ({row.seeds_needed} seeds)"
    return row.verdict or "-"


def _val_top1(row: Any) -> str:
    """The accuracy on the validation split; that of a stopped row names its epoch."""
    text = _one_decimal(row.val_top1)
    if pd.isna(row.stopped_epoch) or not pd.isna(row.test_top1):
        return text
    return f"{text} at epoch {row.epoch}"


def _state(row: Any) -> str:
    """How the row's trials ended; of a stopped row also the probability that it would have lost."""
    if pd.isna(row.forecast_p_worse):
        return row.status
    p_worse = min(row.forecast_p_worse, 0.999)  # a forecast is never certain
    return f"{row.status}, P(worse) {'>' if p_worse == 0.999 else ''}{p_worse:.3f}"


def _paper(row: Any) -> str:
    if pd.isna(row.paper_top1):
        return row.paper_says or "-"
    return _one_decimal(row.paper_top1)


def _or_dash(spelling: Callable[[float], str]) -> Callable[[float], str]:
    """`spelling` of a number, or "-" where it is missing."""
    return lambda number: "-" if pd.isna(number) else spelling(number)


_one_decimal = _or_dash("{:.1f}".format)


@_or_dash
def _probability(value: float) -> str:
    if 0 < value < 0.001:
        return "< .001"
    return f"{value:.3f}" if 0 < value < 0.1 else f"{value:.2f}"


@_or_dash
def _magnitude(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.2f} {letter}"
    return f"{number:.0f}"
