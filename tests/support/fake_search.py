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


class FakeTrial(tune.Trainable):
    """Curves that follow from the candidate's name."""

    def setup(self, config, **shared):
        self.trial = config["trial"]
        self.epoch = self.trial["epoch"]

    def step(self):
        Path(os.environ["WORKER"]).write_text(str(os.getpid()))  # for who wants to kill it
        time.sleep(0.1)
        self.epoch = min(self.epoch + 1, 12)
        level = crc32(self.trial["candidate"].encode()) % 2000 / 100
        row = {"train_loss": 1.0, "val_loss": 1.0, "lr": 0.1, "seconds": 0.1}
        epochs = range(1, self.epoch + 1)
        history = [{"epoch": n, "top1": 40 + level + 2 * n, "finished_at": time.time(), **row} for n in epochs]
        finished = self.epoch == 12
        shown = {"epoch": self.epoch, "top1": history[-1]["top1"], "history": history, "diverged": False}
        told = {"test_top1": None, "device": "fake", "torch": "", "finished": finished}
        told |= {"ranks": 1, "micro_batch": 1, "accumulation": 1, "note": None}
        return {**shown, **told, "done": finished or self.epoch >= self.trial["until"]}


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
