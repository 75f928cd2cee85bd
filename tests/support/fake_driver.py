"""`orchestrate.py` with two fake trials that misbehave at epoch 2: `fake_driver.py KEPT HOW,HOW --space placement`.

HOW: `well`, `once` (hangs there the first time), `always` (hangs there every time); the baseline's first.
A third one, `report`, wants tables.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

from ray import tune

import orchestrate
import results.report.write_report
from orchestrator import ray_trials as cluster
from orchestrator.plan import make_plan
from orchestrator.trial_rows import tune_result
from results.report.updater import ReportUpdater
from tests.support.reports import make_report

KEPT = Path(sys.argv[1])  # a file a trial with its epochs, as checkpoints would be; `log` says what was begun
HOW = sys.argv[2].split(",")
EPOCH, FOR_EVER = 0.2, 300.0  # seconds


class FakeTrial(tune.Trainable):
    """Goes on from the epochs that were kept."""

    def setup(self, config):
        self.task = config["task"]
        self.kept = KEPT / self.task.key
        self.epoch = int(self.kept.read_text()) if self.kept.exists() else 0

    def step(self):
        self.epoch += 1
        with (KEPT / "log").open("a") as log:
            log.write(f"{self.task.candidate} {self.epoch}\n")
        hung, how = self.kept.with_suffix(".hung"), HOW[not str(self.task.candidate).endswith("attn-attn")]
        if self.epoch == 2 and (how == "always" or (how == "once" and not hung.exists())):
            hung.touch()
            time.sleep(FOR_EVER)
        time.sleep(EPOCH)
        self.kept.write_text(str(self.epoch))
        top1s = [50.0 + epoch for epoch in range(1, self.epoch + 1)]
        report = make_report(top1s, epoch_seconds=EPOCH, finished=self.epoch == self.task.until)
        return tune_result(report, self.task)


def two_candidates(args):
    """The plan with the first published candidate and the last."""
    plan = make_plan(args)
    return replace(plan, candidates=[plan.candidates[0], plan.candidates[-1]])


def no_costs(self):
    raise RuntimeError("trials are fake")


if __name__ == "__main__":
    cluster.TuneTrial = FakeTrial
    cluster.tune.with_parameters = lambda trainable, **parameters: trainable  # their processes import no torch
    cluster.Cluster.device = no_costs
    ReportUpdater.changed = lambda self: None
    if "report" not in HOW:
        results.report.write_report.write_report = lambda study: "no report"
    orchestrate.make_plan = two_candidates
    sys.exit(orchestrate.main(sys.argv[3:]))
