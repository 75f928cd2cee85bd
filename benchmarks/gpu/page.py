"""The outcomes as Parquet and as a Markdown page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from benchmarks.gpu.outcomes import Outcome


def outcome_table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row for each part."""
    rows = []
    for outcome in outcomes:
        rows.append(
            {
                "group": outcome.group,
                "part": outcome.name,
                "status": outcome.status,
                "seconds": round(outcome.seconds, 1),
                "detail": outcome.found.detail,
            }
        )
    return pd.DataFrame(rows, columns=["group", "part", "status", "seconds", "detail"])


def measurement_table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row for each measurement."""
    rows = [asdict(measurement) for outcome in outcomes for measurement in outcome.found.measurements]
    table = pd.DataFrame(rows, columns=["what", "variant", "images_per_second", "peak_memory"])
    return table.astype({"images_per_second": "float64", "peak_memory": "Int64"})


def write(outcomes: Sequence[Outcome], folder: Path, facts: dict[str, str], seconds: float) -> str:
    """Write parts.parquet, speeds.parquet and gpu.md to `folder`. Returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    outcome_table(outcomes).assign(**facts).to_parquet(folder / "parts.parquet")
    measurement_table(outcomes).assign(**facts).to_parquet(folder / "speeds.parquet")
    text = page(outcomes, facts, seconds)
    (folder / "gpu.md").write_text(text)
    return text


def page(outcomes: Sequence[Outcome], facts: dict[str, str], seconds: float) -> str:
    """What failed, every part, and the measurements, as Markdown."""
    passed = sum(outcome.status == "passed" for outcome in outcomes)
    described = ", ".join(f"{name} {value}" for name, value in facts.items())
    lines = [
        "# What a GPU showed",
        "",
        f"`python -m benchmarks.gpu`: {described}. {passed} of {len(outcomes)} parts passed, in {seconds:.0f} s.",
        "",
        *_problems(outcomes),
        outcome_table(outcomes).to_markdown(index=False),
        "",
    ]
    measured = measurement_table(outcomes)
    if len(measured):
        shown = measured.assign(
            images_per_second=measured["images_per_second"].map("{:,.0f}".format),
            peak_memory=[_gigabytes(value) for value in measured["peak_memory"]],
        )
        lines += ["Images per second of optimizer steps, and the peak memory of one process:", ""]
        lines += [shown.to_markdown(index=False), ""]
    return "\n".join(lines)


def _problems(outcomes: Sequence[Outcome]) -> list[str]:
    wrong = [outcome for outcome in outcomes if outcome.status != "passed"]
    lines = [f"- **{outcome.name}** {outcome.status}: {outcome.found.detail}" for outcome in wrong]
    return [*lines, ""] if lines else []


def _gigabytes(value: object) -> str:
    return "" if pd.isna(value) else f"{int(str(value)) / 1e9:.2f} GB"
