"""Injected faults: what the study does, its exit code, and that no epoch is lost. docs/guarantees.md has the table.

The trials' model only counts epochs; everything from `run_trial` to the rows and the decision to go on is real.
"""

import errno
import gc
import json
import math
import os
from io import StringIO
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from orchestrator.gpu_placement import Gpu, Placement
from orchestrator.gpu_watch import GpuWatch
from orchestrator.interrupts import Interrupts
from orchestrator.stall_detector import StallDetector
from orchestrator.trial_callback import TrialCallback
from orchestrator.trial_errors import TrialErrors
from orchestrator.trial_rows import tune_result
from results.progress import Progress
from results.recorder import Recorder
from results.records import TrialRecord
from searchspace.candidate import Candidate
from storage.write_error import WriteError
from tests.support.fake_queue import FakeCluster
from tests.support.reports import make_epoch
from tests.support.studies import trial_record
from trainers import run_trial as run_trial_module
from trainers.data.decoding import ImageDecodeError, ImageReadError
from trainers.rank_context import RankContext
from trainers.resources import Resources
from trainers.run_trial import run_trial
from trainers.trial_task import TrainingSetup, TrialTask

EPOCHS = 3
FAULTY = trial_record("dwconv-cska-attn-attn", budget=EPOCHS)
HEALTHY = trial_record("dwconv-dwconv-attn-attn", budget=EPOCHS)
DEVICE_ERRORS = [
    torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered\nCompile with `TORCH_USE_CUDA_DSA`"),
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    torch.AcceleratorError("CUDA error: misaligned address"),
    torch.AcceleratorError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    RuntimeError("No CUDA GPUs are available"),
    torch.distributed.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp:2395, unhandled cuda error"),
]
MEMORY_ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
]
LOADER_DEATHS = [
    RuntimeError("DataLoader worker (pid 17) is killed by signal: Killed. "),
    RuntimeError("DataLoader worker (pid 17) is killed by signal: Bus error. It may be out of shared memory."),
]
READ_ERRORS = [
    ImageReadError("a.png cannot be read: [Errno 5] Input/output error"),
    ImageReadError("a.png cannot be read: [Errno 116] Stale file handle"),
    OSError(errno.EIO, "Input/output error", "shard.tar"),
]
FINAL_ERRORS = [
    (ImageDecodeError("a.png cannot be decoded: not an image"), "a.png cannot be decoded: not an image"),
    (KeyError("gamma"), "KeyError: 'gamma'"),
]
WRITE_ERRORS = [
    WriteError(errno.ENOSPC, "No space left on device"),
    WriteError(errno.EIO, "Input/output error"),
    WriteError("s3://bucket/study: away"),
]


class Faults:
    """The exception that meets a candidate's second epoch, and how often; the epochs that were trained."""

    def __init__(self):
        self.error = None
        self.times = 0
        self.diverges = False
        self.trained = []

    def meet(self, candidate, epoch):
        if str(candidate) == FAULTY.candidate and epoch == 2 and self.times:
            self.times -= 1
            raise self.error
        self.trained.append((str(candidate), epoch))


def counting_trainer(faults):
    """Takes the place of Trainer: its checkpoint is the number of epochs."""

    class CountingTrainer:
        device = torch.device("cpu")
        rank_context = RankContext()
        test_top1 = 90.0
        ema_test_top1 = None

        def __init__(self, *, candidate, seed, setup, folder, rank_context, micro_batch):
            self.candidate, self.folder, self.micro_batch = candidate, folder, micro_batch or 8
            self.passes = 1
            self.history = []
            if folder.exists("epochs"):
                self.history = [make_epoch(number + 1, 90.0) for number in range(json.loads(folder.read("epochs")))]

        @property
        def finished(self):
            return len(self.history) == EPOCHS or (bool(self.history) and self.history[-1].diverged)

        def epochs(self):
            while not self.finished:
                epoch = len(self.history) + 1
                faults.meet(self.candidate, epoch)
                bad = faults.diverges and epoch == 2 and str(self.candidate) == FAULTY.candidate
                changes = {"train_loss": math.nan} if bad else {}
                self.history.append(make_epoch(epoch, math.nan if bad else 90.0, **changes))
                self.folder.make()
                self.folder.write("epochs", json.dumps(epoch).encode())
                yield

        def test(self):
            return self.test_top1

        def close(self):
            pass

    return CountingTrainer


class Outcome:
    """What a study of two trials did with a fault."""

    def __init__(self, study, recorder, screen, code):
        self.code = code
        self.status = {record.candidate: record.status for record in recorder.records.values()}
        self.error = recorder.records[FAULTY.key].error
        self.screen = screen.getvalue()
        rows = study.epochs()
        self.epochs = {key: sorted(rows["epoch"][rows["key"] == key]) for key in (FAULTY.key, HEALTHY.key)}


@pytest.fixture
def faults(monkeypatch):
    faults = Faults()
    monkeypatch.setattr(run_trial_module, "Trainer", counting_trainer(faults))
    monkeypatch.setattr(gc, "collect", lambda: None)  # slow, and nothing was allocated, compiled or is to survive
    monkeypatch.setattr(torch.compiler, "reset", lambda: None)
    monkeypatch.setattr(os, "fsync", lambda file: None)
    return faults


@pytest.fixture
def run(faults, study, shapes, quick):
    """Runs the study to its end as the command does, one trial after the other: `run(error, times)`."""

    def run_study(error=None, times=1):
        faults.error, faults.times = error, times if error else 0
        screen = StringIO()
        known = {record.key: record for record in study.records(TrialRecord)}
        trials = [known.get(record.key, record) for record in (FAULTY, HEALTHY)]
        recorder = Recorder(study, trials, Progress([], console=Console(file=screen, width=300)))
        queue = SimpleNamespace(recorder=recorder, let_another_go_first=lambda record: None)
        watch = GpuWatch(FakeCluster(1, gpus=8), recorder)
        callback = TrialCallback(queue, Interrupts(), StallDetector(), TrialErrors(), watch)
        setup = TrainingSetup(recipe=quick, data=shapes, resources=Resources(), checkpoints=study.folder / "kept")
        try:
            for key in (FAULTY.key, HEALTHY.key):
                gpu = 0
                while recorder.records[key].status == "running":
                    run_process(callback, recorder.records[key], setup, gpu)
                    gpu += 1
        except WriteError:
            return Outcome(study, recorder, screen, code=3)
        return Outcome(study, recorder, screen, code=int(bool(recorder.unfinished())))

    return run_study


def run_process(callback, record, setup, gpu):
    """One process of a trial, from its start to its end, as Tune tells of it."""
    candidate = Candidate.parse(record.candidate)
    task = TrialTask(key=record.key, candidate=candidate, seed=0, until=EPOCHS, reported_epochs=record.epoch)
    trial = SimpleNamespace(config={"task": task}, trial_id="t", last_result={"report": None})
    callback.on_trial_start(0, [], trial)
    placement = Placement("node", "host", 17, (Gpu("host", str(gpu), "node"),))
    for outcome in [placement, *run_trial(task, setup)]:
        trial.last_result = tune_result(outcome, task)
        callback.on_trial_result(0, [], trial, trial.last_result)
    callback.on_trial_complete(0, [], trial)


def assert_whole(outcome, faults):
    """All trials are done; no epoch is missing, and none was trained twice."""
    assert outcome.code == 0
    assert set(outcome.status.values()) == {"done"}
    assert outcome.epochs == {FAULTY.key: [1, 2, 3], HEALTHY.key: [1, 2, 3]}
    assert len(faults.trained) == len(set(faults.trained)) == 2 * EPOCHS


def assert_only_the_faulty_trial_failed(outcome):
    """The first epoch of the faulty trial is kept, and the other trial went on."""
    assert outcome.code == 1
    assert outcome.status == {FAULTY.candidate: "failed", HEALTHY.candidate: "done"}
    assert outcome.epochs == {FAULTY.key: [1], HEALTHY.key: [1, 2, 3]}


@pytest.mark.parametrize("error", DEVICE_ERRORS, ids=str)
def test_a_device_that_fails_costs_the_epoch_in_flight(run, faults, error):
    outcome = run(error)
    assert_whole(outcome, faults)
    message = str(error).splitlines()[0]
    assert f"{FAULTY.candidate} seed 0: {message} on GPU 0 of host; goes on from epoch 1\n" in outcome.screen


@pytest.mark.parametrize("error", [DEVICE_ERRORS[0], *LOADER_DEATHS], ids=str)
def test_three_deaths_without_an_epoch_are_a_failed_trial(run, error):
    assert_only_the_faulty_trial_failed(run(error, times=3))


@pytest.mark.parametrize("error", MEMORY_ERRORS, ids=str)
def test_too_little_memory_halves_the_micro_batch(run, faults, error):
    outcome = run(error)
    assert_whole(outcome, faults)
    assert "images at a time do not fit into memory: goes on with" in outcome.screen


@pytest.mark.parametrize("error", LOADER_DEATHS, ids=str)
def test_a_dead_loader_is_replaced_within_the_trial(run, faults, error):
    outcome = run(error)
    assert_whole(outcome, faults)
    assert f"{str(error).strip()}" in outcome.screen
    assert ("--shm-size" in outcome.screen) == ("Bus error" in str(error))


@pytest.mark.parametrize("error", READ_ERRORS, ids=str)
def test_data_that_cannot_be_read_once_cost_one_retry(run, faults, error):
    assert_whole(run(error), faults)


@pytest.mark.parametrize("error", READ_ERRORS, ids=str)
def test_data_that_cannot_be_read_twice_cost_their_trial_and_are_named(run, error):
    outcome = run(error, times=2)
    assert_only_the_faulty_trial_failed(outcome)
    assert ("a.png" in outcome.error) or ("shard.tar" in outcome.error)


@pytest.mark.parametrize(("error", "line"), FINAL_ERRORS, ids=str)
def test_what_would_come_again_is_not_tried_again(run, faults, error, line):
    outcome = run(error)
    assert_only_the_faulty_trial_failed(outcome)
    assert outcome.error.endswith(line)


@pytest.mark.parametrize("error", WRITE_ERRORS, ids=str)
def test_what_cannot_be_written_ends_the_command_and_the_next_one_goes_on(run, faults, error):
    outcome = run(error)
    assert outcome.code == 3
    assert outcome.epochs[FAULTY.key] == [1]
    assert_whole(run(), faults)


def test_a_loss_that_is_not_a_number_ends_its_trial_alone(run, faults):
    faults.diverges = True
    outcome = run()
    assert outcome.code == 0
    assert outcome.status == {FAULTY.candidate: "diverged", HEALTHY.candidate: "done"}
