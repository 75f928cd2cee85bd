"""A search of twelve fake trials, one at a time, through real Ray: `python tests/fake_search.py RESULTS`."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

from ray import tune

from orchestrate import make_trial_queue, parser
from orchestrator import ray_trials as cluster
from orchestrator.plan import make_plan
from orchestrator.trial_rows import tune_result
from tests.support.reports import make_report


class FakeTrial(tune.Trainable):
    """Curves that follow from the candidate's name."""

    def setup(self, config, **shared):
        self.task = config["task"]
        self.epoch = self.task.reported_epochs

    def step(self):
        Path(os.environ["WORKER"]).write_text(str(os.getpid()))  # for who wants to kill it
        time.sleep(0.1)
        self.epoch = min(self.epoch + 1, 12)
        level = 40 + crc32(str(self.task.candidate).encode()) % 2000 / 100
        top1s = [level + 2 * epoch for epoch in range(1, self.epoch + 1)]
        report = make_report(top1s, epoch_seconds=0.1, finished=self.epoch == 12)
        return tune_result(report, self.task)


def main(results: Path) -> None:
    options = ["--space", "placement", "--trials", "5", "--stop-published", "--results", str(results)]
    plan = make_plan(parser().parse_args(options))
    plan = replace(plan, data=SimpleNamespace(name="fake", fingerprint="0"))
    cluster.TuneTrial = FakeTrial
    with plan.study.owned():
        plan.study.begin(plan.settings())
        agenda = make_trial_queue(plan)
        with cluster.Cluster(None, os.cpu_count(), 0, False) as machine:  # all CPUs for one trial: one at a time
            machine.train(agenda)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
