"""`orchestrate.py` with two fake trials that may stall: `python -m tests.support.fake_driver KEPT HOW,HOW --space ...`.

HOW is `well`, `once` or `always`: how often the trial stalls in its second epoch; the baseline's comes first. A third
word, `report`, asks for the report, which is left out otherwise.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import orchestrate
import results.report.write_report
from orchestrator import make_plan
from orchestrator.plan import StudyPlan
from orchestrator.ray_environment import configure_ray
from results.report.updater import ReportUpdater

make_whole_plan = make_plan.make_plan


def plan_two_candidates(args: argparse.Namespace) -> StudyPlan:
    """The plan with the first published candidate and the last."""
    plan = make_whole_plan(args)
    return replace(plan, candidates=[plan.candidates[0], plan.candidates[-1]])


def main(folder: Path, words: list[str], arguments: list[str]) -> int:
    configure_ray(joining=False)
    from tests.support.fake_trial import FakeBehaviour, fake_the_training

    candidates = ["caformer_micro-dwconv-dwconv-attn-attn", "caformer_micro-dwconv-dwconv-attn-cska"]
    stalls = {candidate: word for candidate, word in zip(candidates, words, strict=False) if word != "well"}
    fake_the_training(FakeBehaviour(folder=folder, budget=3, epoch_seconds=0.2, stalls=stalls))
    make_plan.make_plan = plan_two_candidates
    ReportUpdater.changed = lambda self: None
    if "report" not in words:
        results.report.write_report.write_report = lambda study: "no report"
    return orchestrate.main(arguments)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]))
