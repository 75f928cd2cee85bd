"""Takes GPUs on which trials keep failing out of use: counts the errors, blocks the GPUs, and says so."""

from __future__ import annotations

import re
import time

from orchestrator.gpu_blockers import GpuBlockers
from orchestrator.gpu_placement import Placement
from orchestrator.ray_cluster import Cluster
from orchestrator.sick_gpus import DeviceError, SickGpus
from results.recorder import Recorder
from trainers.trial_task import Failure


class GpuWatch:
    """Follows where trials run and which GPUs fail, for as long as one command runs.

    GPUs that the cluster excludes already are out of use from the start.
    """

    def __init__(self, cluster: Cluster, recorder: Recorder) -> None:
        self.cluster = cluster
        self.recorder = recorder
        self.sick_gpus = SickGpus(cluster.excluded)
        self.blockers = GpuBlockers(cluster.request.gpus)

    def may_train_at(self, placement: Placement) -> bool:
        """Whether none of these GPUs is out of use. Ray may have handed one out before a blocker held it."""
        if not self.sick_gpus.has_sick(placement):
            return True
        self.blockers.retry()
        return False

    def is_blocking(self) -> bool:
        """Go on taking sick GPUs out of Ray's hands. Whether no trial should start meanwhile."""
        if not self.sick_gpus.sick:
            return False
        trials_on = {gpu: self.sick_gpus.trials_on(gpu) for gpu in self.sick_gpus.sick}
        return self.blockers.poll(trials_on, time.monotonic())

    def on_start(self, key: str, placement: Placement) -> None:
        """The trial has begun there."""
        self.sick_gpus.on_start(key, placement)

    def on_epoch(self, key: str) -> None:
        """The running trial has completed an epoch."""
        self.sick_gpus.on_epoch(key)

    def on_end(self, key: str) -> None:
        """The trial's process has ended, or will at once."""
        self.sick_gpus.on_end(key)

    def where(self, key: str, failure: Failure) -> str:
        """Where a running trial failed, as the end of a line; empty on a CPU."""
        placement = self.sick_gpus.placements.get(key)
        return placement.describe(failure.rank) if placement else ""

    def is_process_of(self, key: str, message: str) -> bool:
        """Whether Ray's message names the process of this running trial."""
        placement = self.sick_gpus.placements.get(key)
        return placement is not None and re.search(rf"\b(pid|PID)[=: ]+{placement.process}\b", message) is not None

    def on_device_failure(self, key: str, failure: Failure) -> None:
        """Count the failure against the GPU that met it, and take the GPU out of use if that is too often."""
        placement = self.sick_gpus.placements.get(key)
        gpu = placement.gpu_of(failure.rank) if placement else None
        if gpu is None or gpu in self.sick_gpus.sick:
            return
        is_last = self.cluster.healthy_gpus() <= 1
        if not self.sick_gpus.on_error(gpu, DeviceError(key, failure.message), is_last=is_last):
            return
        self.cluster.exclude(gpu)
        self.recorder.announce(self.sick_gpus.describe(gpu))
        if self.cluster.lacks_healthy_gpus():
            self.recorder.announce("the healthy GPUs that are left hold no trial: the search ends here")
