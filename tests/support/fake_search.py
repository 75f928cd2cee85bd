"""A search of twelve fake trials, one at a time, through real Ray: `python -m tests.support.fake_search FOLDER`."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from orchestrator.ray_environment import open_cluster
from orchestrator.stall_detector import StallDetector
from orchestrator.study_run import StudyRun
from results.report.updater import ReportUpdater
from tests.support.plans import plan_for


def main(folder: Path) -> None:
    kept = folder / "kept"
    kept.mkdir(exist_ok=True)
    plan = plan_for("--trials", "5", "--results", folder)
    plan = replace(plan, data=SimpleNamespace(name="fake", fingerprint="0"))
    ReportUpdater.changed = lambda self: None
    with plan.study.owned():
        queue = StudyRun.prepare(plan).queue
        with open_cluster(cpus=os.cpu_count(), gpus=0) as cluster:  # all CPUs for one trial: one at a time
            from orchestrator import ray_trials
            from tests.support.fake_trial import FakeBehaviour, make_fake_trainable

            behaviour = FakeBehaviour(folder=kept, budget=plan.recipe.budget, epoch_seconds=0.1)
            ray_trials.train(queue, cluster, make_fake_trainable(behaviour), StallDetector())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
