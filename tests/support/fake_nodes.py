"""`orchestrate.py` with fake trials that keep their epochs on disk: `python tests/fake_nodes.py KEPT --space ...`."""

import os
import sys
import time
from pathlib import Path
from zlib import crc32

import ray
from ray import tune

import results.report.write_report
from orchestrate import main
from orchestrator import ray_trials as cluster
from orchestrator.trial_rows import tune_result
from tests.support.reports import make_report

KEPT = Path(sys.argv[1])  # a file a trial with its epochs, as checkpoints would be; `log` says who trained which
EPOCH = 0.5  # seconds


class FakeTrial(tune.Trainable):
    """Goes on from the epochs that were kept; those that were never reported come first, without training."""

    def setup(self, config):
        self.task = config["task"]
        self.node = ray.get_runtime_context().get_node_id()
        self.kept = KEPT / self.task.key
        self.epoch = self.task.reported_epochs

    def step(self):
        if self.epoch >= (int(self.kept.read_text()) if self.kept.exists() else 0):
            self.learn(self.epoch + 1)
        self.epoch += 1
        level = 50 + crc32(self.task.key.encode()) % 20
        top1s = [level + epoch for epoch in range(1, self.epoch + 1)]
        finished = self.epoch == self.task.until
        report = make_report(top1s, epoch_seconds=EPOCH, device=self.node, finished=finished)
        return tune_result(report, self.task)

    def learn(self, epoch):
        with (KEPT / "log").open("a") as log:
            log.write(f"{self.task.key} {epoch} {self.node} {os.getpid()}\n")
        time.sleep(EPOCH)
        part = self.kept.with_name(f"{self.kept.name}.part")
        part.write_text(str(epoch))
        part.replace(self.kept)


def no_costs(self):
    raise RuntimeError("trials are fake")


if __name__ == "__main__":
    cluster.TuneTrial = FakeTrial
    cluster.tune.with_parameters = lambda trainable, **parameters: trainable  # their processes import no torch
    cluster.Cluster.device = no_costs
    results.report.write_report.write_report = lambda study: "no report"
    sys.exit(main(sys.argv[2:]))
