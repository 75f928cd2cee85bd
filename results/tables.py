"""The paper's tables, filled from a study: first as numbers (a DataFrame), then as text."""

from __future__ import annotations

import pandas as pd

MISSING = "-"


def placement_table(trials: pd.DataFrame, costs: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Table 5: one row per placement, the paper's rows first and in its order, then the others by epoch and top-1.

    The numbers of a row are those of its `seeds`: the finished ones, or where there are none those that came to the
    same furthest `epoch`. `status` counts all. `test_top1`, its standard deviation `test_sd`, `val_top1` and
    `paper_top1` are percent; costs are those of the device that most trials ran on. What was not run is missing.
    """
    ours = pd.DataFrame([_row(str(placement), rows) for placement, rows in trials.groupby("placement", sort=False)])
    if ours.empty:
        ours = pd.DataFrame(columns=list(_row("", trials)))
    published = paper[["placement", "top1"]].rename(columns={"top1": "paper_top1"})
    table = published.merge(ours, on="placement", how="outer")
    table["status"] = table["status"].fillna("not run")
    table = table.merge(_costs_of(costs, main_device(trials)), on="candidate", how="left")
    order = {placement: number for number, placement in enumerate(paper["placement"])}
    table["rank"] = table["placement"].map(order).fillna(len(order))
    table = table.sort_values(["rank", "epoch", "val_top1"], ascending=[True, False, False], ignore_index=True)
    table["epoch"] = table["epoch"].astype("Int64")
    table["seeds"] = table["seeds"].fillna(0).astype("int64")
    return table.drop(columns=["rank", "candidate"])


def main_device(trials: pd.DataFrame) -> str:
    """The device that most trials ran on; empty if none ran."""
    devices = trials["device"][trials["device"] != ""].mode()
    return "" if devices.empty else str(devices[0])


def _row(placement: str, trials: pd.DataFrame) -> dict[str, object]:
    """What the trials of one placement say: the finished ones, else those that came furthest, never both."""
    measured = trials[trials["top1"].notna() & (trials["status"] != "diverged")]
    done = measured[measured["status"] == "done"]
    shown = measured[measured["epoch"] == measured["epoch"].max()] if done.empty else done
    return {
        "placement": placement,
        "candidate": trials["candidate"].max(),
        "status": _status(trials),
        "epoch": shown["epoch"].max(),
        "seeds": len(shown),
        "test_top1": shown["test_top1"].mean(),
        "test_sd": shown["test_top1"].std(),
        "val_top1": shown["top1"].mean(),
    }


def _status(trials: pd.DataFrame) -> str:
    """`done`, or where trials ended differently how many ended how: `2 done, 1 stopped at epoch 4`."""
    ends = trials["status"].where(
        trials["status"] == "done", trials["status"] + " at epoch " + trials["epoch"].astype(str)
    )
    counts = ends.value_counts(sort=False).sort_index()
    if len(counts) == 1:
        return str(counts.index[0])
    return ", ".join(f"{number} {end}" for end, number in counts.items())


def _costs_of(costs: pd.DataFrame, device: str) -> pd.DataFrame:
    columns = ["candidate", "num_params", "flops", "images_per_second"]
    return costs[costs["device"] == device][columns].astype({"num_params": "Int64", "flops": "Int64"})


def typeset(table: pd.DataFrame) -> pd.DataFrame:
    """The placement table as text, one string per cell, for Markdown, LaTeX and the terminal."""
    return pd.DataFrame(
        {
            "stages 1 to 4": table["placement"].str.replace("-", " ").str.upper().str.replace("DWCONV", "DW"),
            "test top-1 %": [_with_sd(mean, sd) for mean, sd in zip(table["test_top1"], table["test_sd"], strict=True)],
            "val top-1 %": table["val_top1"].map(_decimals),
            "seeds": table["seeds"].map(str),
            "state": table["status"],
            "paper top-1 %": table["paper_top1"].map(_decimals),
            "params": table["num_params"].map(lambda n: MISSING if pd.isna(n) else _short(n)),
            "FLOPs": table["flops"].map(lambda n: MISSING if pd.isna(n) else _short(n)),
            "images/s": table["images_per_second"].map(lambda n: MISSING if pd.isna(n) else f"{n:,.0f}"),
        }
    )


def _decimals(value: float) -> str:
    return MISSING if pd.isna(value) else f"{value:.1f}"


def _with_sd(mean: float, sd: float) -> str:
    return _decimals(mean) if pd.isna(sd) else f"{mean:.1f} ± {sd:.1f}"


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.2f} {letter}"
    return f"{number:.0f}"


def to_markdown(text: pd.DataFrame) -> str:
    """A Markdown table, numbers to the right."""
    align = ["left", *["right"] * (text.shape[1] - 1)]
    return text.to_markdown(index=False, colalign=align, disable_numparse=True)


def to_latex(text: pd.DataFrame, caption: str, label: str) -> str:
    """A LaTeX table for the booktabs package."""
    escaped = text.map(_escape).rename(columns=_escape)
    columns = "l" + "r" * (text.shape[1] - 1)
    return escaped.to_latex(index=False, column_format=columns, caption=_escape(caption), label=label, position="t")


_LATEX = str.maketrans(
    {letter: "\\" + letter for letter in "%_&#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
)


def _escape(text: str) -> str:
    return text.translate(_LATEX)
