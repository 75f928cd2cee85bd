"""One run of a study, from its plan to its report: what is queued, the preflight, the training, the costs."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.cost_measurement import measure_costs, measure_decoding
from orchestrator.machine_checks import check_shared_memory
from orchestrator.plan import StudyPlan, needs_training
from orchestrator.preflight import (
    Measurements,
    TrainingNeeds,
    candidate_sizes,
    estimate_study,
    extreme_candidates,
    remaining_disk_bytes,
)
from orchestrator.preflight_text import describe, describe_disk, format_bytes
from orchestrator.stall_detector import StallDetector
from orchestrator.trial_queue import TrialQueue, make_search, settle_interrupted_trials
from results.progress import Progress
from results.recorder import Recorder
from results.records import TrialRecord
from results.report.updater import ReportUpdater
from results.reuse import import_trials
from storage.plain_text import printable
from storage.write_error import WriteError
from trainers.trial_task import TrainingSetup
from trainers.version import code

if TYPE_CHECKING:
    from orchestrator.ray_cluster import Cluster


@dataclass(frozen=True)
class StudyRun:
    """A study that this process owns and is about to train. `requested` are the trials that its plan asks for."""

    plan: StudyPlan
    requested: Sequence[TrialRecord]
    queue: TrialQueue
    progress: Progress
    updater: ReportUpdater

    @classmethod
    def prepare(cls, plan: StudyPlan, *, reuse: bool = False) -> StudyRun:
        """Begin the plan's study or continue it; with `reuse`, import what other studies have trained."""
        plan.study.begin(plan.settings())
        if reuse:
            print(f"{import_trials(plan.study, plan.matching_trial)} trials imported from other studies")
        known = settle_interrupted_trials(plan)
        search = make_search(plan)
        requested = plan.requested_trials()
        progress = Progress(known, total=len(requested))
        updater = ReportUpdater(plan.study)
        recorder = Recorder(plan.study, known, progress, updater)
        return cls(plan, requested, TrialQueue(plan, search, recorder), progress, updater)

    def needs_cluster(self) -> bool:
        """Whether there is anything to train or to measure."""
        return self.queue.has_work() or bool(self.plan.unmeasured_candidates())

    def describe(self, cluster: Cluster | None) -> str:
        """The study, its counts, and the cluster if there is one, in one line."""
        num_pending = sum(needs_training(trial) for trial in self.requested)
        text = f"study {self.plan.study.folder}: {len(self.requested)} trials, {num_pending} to train"
        return f"{text}; {cluster}" if cluster else text

    def preflight(self, cluster: Cluster) -> TrainingNeeds:
        """Measure the extreme candidates, print the estimate, and return what the training needs of it.

        WriteError (ENOSPC) if the disk is too small for the pending trials, ValueError if shared memory is.
        """
        needs = self._measure_needs(cluster)
        check_shared_memory(cluster, self.plan.recipe, cluster.resources(needs.loader_workers))
        return needs

    def _measure_needs(self, cluster: Cluster) -> TrainingNeeds:
        sizes = candidate_sizes(self.plan, self.requested)
        costs = measure_costs(self.plan, cluster, extreme_candidates(sizes))
        if not costs:
            return TrainingNeeds(loader_workers=self._default_loader_workers(cluster))
        measured = Measurements(
            costs=costs,
            resources=cluster.resources(),
            trials_at_a_time=cluster.trials_at_a_time(),
            decoding_speed=measure_decoding(self.plan, cluster),
        )
        estimate = estimate_study(self.plan, self.requested, sizes, measured)
        print("\n".join(describe(estimate, self.plan)), flush=True)
        if not estimate.disk_suffices:
            assert estimate.free_bytes is not None
            free = format_bytes(estimate.free_bytes)
            needed = format_bytes(estimate.disk_bytes)
            raise WriteError(errno.ENOSPC, f"{free} are free in {self.plan.study.folder}, {needed} are needed")
        workers = estimate.loader.workers if estimate.loader else self._default_loader_workers(cluster)
        return TrainingNeeds(loader_workers=workers, longest_epoch_seconds=estimate.longest_epoch_seconds)

    def _default_loader_workers(self, cluster: Cluster) -> int:
        """Loader workers per rank where decoding could not be measured: all CPU threads but one."""
        if not self.plan.data.streamed:
            return 0
        resources = cluster.resources()
        return max(resources.threads - 1, int(resources.device == "cuda"))

    def train(self, cluster: Cluster, needs: TrainingNeeds | None, *, stall_seconds: float | None) -> int:
        """Train until the queue is empty. Returns the signal that interrupted it, or 0; OSError from a full disk.

        A trial without a report for `stall_seconds` is restarted; see StallDetector for the default, which is printed.
        """
        from orchestrator import ray_trials

        needs = needs or TrainingNeeds()
        study = self.plan.study
        setup = TrainingSetup(
            recipe=self.plan.recipe,
            data=self.plan.data,
            resources=cluster.resources(needs.loader_workers),
            checkpoints=study.folder.absolute() / "checkpoints",
            weights=self.plan.weights,
            code=code(),
        )
        stall_detector = StallDetector(
            stall_seconds, epoch_seconds=study.epochs()["seconds"], forecast_seconds=needs.longest_epoch_seconds
        )
        print(stall_detector.describe(), flush=True)
        with self.progress, self.updater:
            trainable = ray_trials.make_trainable(setup)
            return ray_trials.train(self.queue, cluster, trainable, stall_detector)

    def measure_remaining_costs(self, cluster: Cluster) -> None:
        """Measure the cost of every trained candidate that has none."""
        unmeasured = [str(candidate) for candidate in self.plan.unmeasured_candidates()]
        measure_costs(self.plan, cluster, unmeasured)

    def write_report(self) -> str:
        """Write the tables, figures and page of the study. Returns its tables as Markdown, and where the files are."""
        from results.report.write_report import write_report  # loads matplotlib

        return write_report(self.plan.study)

    def describe_remaining_disk(self, cluster: Cluster) -> str:
        """A clause that says what the pending trials still write and what is free; empty for an object store."""
        folder = self.plan.study.folder
        if folder.path is None:
            return ""
        needed = remaining_disk_bytes(self.plan, cluster.trials_at_a_time())
        return f"; pending trials: about {describe_disk(needed, folder, folder.free())}"

    def print_unfinished(self) -> bool:
        """Print every trial that has not ended, with its error if it failed; whether there are any."""
        unfinished = self.queue.recorder.unfinished()
        for record in unfinished:
            reason = ""
            if record.error:
                traceback_file = self.plan.study.folder / "errors" / f"{record.key}.txt"
                reason = f": {record.error} ({traceback_file})"
            print(printable(f"no result yet: {record.candidate} seed {record.seed}{reason}"), file=sys.stderr)
        return bool(unfinished)
