"""`orchestrate.py` with fake trials that keep their epochs on disk: `python tests/fake_nodes.py KEPT --space ...`."""

import os
import sys
import time
from pathlib import Path

import fake_search
import ray

import cluster
from orchestrate import main

KEPT = Path(sys.argv[1])  # a file a trial with its epochs, as checkpoints would be; `log` says who trained which
EPOCH = 0.4  # seconds


class FakeTrial(fake_search.FakeTrial):
    """Goes on from the epochs that were kept; those that were never reported come first, without training."""

    def setup(self, config, **shared):
        super().setup(config)
        self.kept = KEPT / self.trial["key"]
        self.node = ray.get_runtime_context().get_node_id()

    def step(self):
        if self.epoch >= (int(self.kept.read_text()) if self.kept.exists() else 0):
            with (KEPT / "log").open("a") as log:
                log.write(f"{self.trial['key']} {self.epoch + 1} {self.node} {os.getpid()}\n")
            time.sleep(EPOCH)
            part = self.kept.with_name(f"{self.kept.name}.part")
            part.write_text(str(self.epoch + 1))
            part.replace(self.kept)
        return {**super().step(), "device": self.node}


def no_costs(self):
    raise RuntimeError("trials are fake")


if __name__ == "__main__":
    cluster.TuneTrial = FakeTrial
    cluster.Cluster.device = no_costs
    sys.exit(main(sys.argv[2:]))
