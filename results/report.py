"""Writes what a study shows: Table 5 as Parquet, Markdown and LaTeX, and its learning curves."""

from __future__ import annotations

from pathlib import Path

from results import paper
from results.figures import draw_learning_curves, learning_curves
from results.store import Study, commit_bytes
from results.tables import main_device, placement_table, to_latex, to_markdown, typeset


def write_report(study: Study) -> tuple[str, list[Path]]:
    """Write the tables and figures of `study` under its `report/`; returns the Markdown and the files."""
    trials, settings = study.trials(), study.settings()
    folder = study.folder / "report"
    folder.mkdir(exist_ok=True)
    table = placement_table(trials, study.costs(), paper.table5())
    caption = _caption(settings, main_device(trials))
    markdown = f"{caption}\n\n{to_markdown(typeset(table))}\n"
    latex = to_latex(typeset(table), caption, "tab:placement")
    files = [folder / f"table5.{suffix}" for suffix in ("parquet", "md", "tex")]
    contents = (table.to_parquet(index=False), markdown.encode(), latex.encode())
    for file, content in zip(files, contents, strict=True):
        commit_bytes(file, content)
    points = learning_curves(trials, study.epochs(), list(paper.table5()["placement"]))
    if not points.empty:
        files += draw_learning_curves(points, f"{study.name}: {_data(settings)}", folder / "learning_curves")
    return markdown, files


def _data(settings: dict) -> str:
    recipe = settings["recipe"]
    return f"{settings['data']['name']} at {recipe['img_size']} px, recipe {recipe['name']}"


def _caption(settings: dict, device: str) -> str:
    return (
        f"Table 5, placement of SKA and CSKA. Ours: {settings['backbone']} on {_data(settings)}, "
        f"{settings['budget']} epochs, mean ± sd over seeds; images/s at inference: {device or 'not measured'}. "
        "Paper: CAFormer-S18 on ImageNet-1k at 224 px, epoch 160, one run; other data, so only the order of rows could "
        "agree, and a difference smaller than the spread of seeds shows no order."
    )
