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

KEPT = Path(sys.argv[1])  # a file a trial with its epochs, as checkpoints would be; `log` says who trained which
EPOCH = 0.5  # seconds


class FakeTrial(tune.Trainable):
    """Goes on from the epochs that were kept; those that were never reported come first, without training."""

    def setup(self, config):
        self.trial, self.node = config["trial"], ray.get_runtime_context().get_node_id()
        self.kept = KEPT / self.trial["key"]
        self.epoch = self.trial["epoch"]

    def step(self):
        if self.epoch >= (int(self.kept.read_text()) if self.kept.exists() else 0):
            self.learn(self.epoch + 1)
        self.epoch += 1
        level, row = crc32(self.trial["key"].encode()) % 20, {"train_loss": 1.0, "val_loss": 1.0, "lr": 0.1}
        epochs = range(1, self.epoch + 1)
        history = [{"epoch": n, "top1": 50 + level + n, "seconds": EPOCH, "finished_at": 0, **row} for n in epochs]
        finished = self.epoch == self.trial["until"]
        shown = {"epoch": self.epoch, "top1": history[-1]["top1"], "history": history, "diverged": False, "note": None}
        told = {"test_top1": None, "device": self.node, "torch": "", "ranks": 1, "micro_batch": 1, "accumulation": 1}
        return {**shown, **told, "finished": finished, "done": finished}

    def learn(self, epoch):
        with (KEPT / "log").open("a") as log:
            log.write(f"{self.trial['key']} {epoch} {self.node} {os.getpid()}\n")
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
