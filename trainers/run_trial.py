"""Runs one trial and reports it epoch by epoch, alone or with several ranks. Recovers from too little memory and from
ranks that die."""

from __future__ import annotations

import gc
import math
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial

import torch

from searchspace.user_space import load_from_environment
from trainers.device import choose_kernels_by_speed, device_name
from trainers.distributed import run_on_ranks
from trainers.failures import failure_from
from trainers.memory import smaller_pass
from trainers.micro_batch import measured_micro_batch, step_memory
from trainers.rank_context import RankContext
from trainers.trainer import Trainer
from trainers.trial_task import ChosenMicroBatch, Failure, TrainingSetup, TrialReport, TrialTask
from trainers.version import code


def run_trial(task: TrialTask, setup: TrainingSetup, *, max_rank_deaths: int = 3) -> Iterator[TrialReport | Failure]:
    """Train `task` and yield a report after every epoch; at most one Failure, which comes last.

    On a GPU the micro-batch is chosen by the memory that smaller steps take. A trial that needs more all the same
    continues from its checkpoint with half the micro-batch. A trial whose rank or data loader died continues from its
    checkpoint as it was; after `max_rank_deaths` deaths without an epoch it has failed. A GPU's failure is final here:
    the process that met it can do nothing more with any GPU.
    """
    micro_batch: int | None = None
    deaths = 0
    note = None
    while True:
        failure = None
        with closing(_attempt(task, setup, micro_batch)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, Failure):
                    failure = outcome
                    break
                micro_batch = outcome.micro_batch
                if isinstance(outcome, ChosenMicroBatch):
                    continue
                task = replace(task, reported_epochs=outcome.epoch)
                deaths = 0
                yield replace(outcome, note=note)
                note = None
        if failure is None:
            return
        images = _images_per_pass(setup, micro_batch)
        smaller = smaller_pass(images)
        if failure.kind == "memory" and smaller is not None:
            micro_batch = smaller
            passes = math.ceil(_images_per_rank(setup) / micro_batch)
            note = f"{images} images at a time do not fit into memory: goes on with {micro_batch} x {passes}"
        elif failure.kind == "process died" and deaths + 1 < max_rank_deaths:
            deaths += 1
            note = f"{failure.message}; went on from the last checkpoint"
        else:
            yield failure
            return
        _free_memory()
        torch.compiler.reset()  # it keeps a limited number of compiled versions, of all models together


def _other_code(setup: TrainingSetup) -> Failure | None:
    """A failure if this process, perhaps on another node, would train with other code than the study has."""
    if setup.code is None or setup.code == code():
        return None
    return Failure("code", f"the code has changed while the study ran: {code()} here, {setup.code} at the start")


def report_epochs(
    task: TrialTask, setup: TrainingSetup, micro_batch: int | None, context: RankContext
) -> Iterator[TrialReport | ChosenMicroBatch]:
    """Train as one rank and yield a report after every epoch; before the first, the micro-batch if it is chosen here.

    Where the checkpoint holds epochs that were not reported yet, the first report is of those, before any training.
    """
    load_from_environment()  # a user's space file may register token mixers that the candidate needs
    torch.set_num_threads(setup.resources.threads)
    choose_kernels_by_speed(torch.device(setup.resources.device))
    if setup.resources.trials_per_gpu > 1:
        gpu_bytes = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        torch.cuda.set_per_process_memory_fraction(setup.resources.memory_fraction(gpu_bytes))
    if micro_batch is None:
        micro_batch = _measured_micro_batch(task, setup, context)
        if micro_batch is not None:
            yield ChosenMicroBatch(micro_batch)
    trainer = Trainer(
        candidate=task.candidate,
        seed=task.seed,
        setup=setup,
        folder=setup.folder_of(task),
        rank_context=context,
        micro_batch=micro_batch,
    )
    try:
        yield from _reports(trainer, task)
    finally:
        trainer.close()


def _measured_micro_batch(task: TrialTask, setup: TrainingSetup, context: RankContext) -> int | None:
    """The micro-batch that fits into the memory of a GPU; None on a CPU: as many images as the recipe says."""
    largest = _images_per_pass(setup, None)
    memory = step_memory(task.candidate, setup, largest)
    if memory is None:
        return None
    group = min(setup.recipe.group_size, _images_per_rank(setup))
    device = context.device(setup.resources.device)
    micro_batch = measured_micro_batch(memory, group=group, largest=largest, device=device, rank_context=context)
    del memory
    _free_memory()
    return micro_batch


def _free_memory() -> None:
    """Free the device memory that a model held, also for other processes on the device."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _reports(trainer: Trainer, task: TrialTask) -> Iterator[TrialReport]:
    epochs = trainer.epochs()
    reported_epochs = task.reported_epochs
    done = False
    while not done:
        if len(trainer.history) <= reported_epochs:
            next(epochs, None)
        reported_epochs = len(trainer.history)
        report = _report(trainer)
        yield report
        done = report.finished or report.epoch >= task.until


def _attempt(
    task: TrialTask, setup: TrainingSetup, micro_batch: int | None
) -> Generator[TrialReport | ChosenMicroBatch | Failure]:
    """What `report_epochs` yields until the trial is done, or a Failure: no error in training is raised from here."""
    other_code = _other_code(setup)
    if other_code is not None:
        yield other_code
        return
    resources = setup.resources
    try:
        if resources.ranks > 1:
            train = partial(report_epochs, task, setup, micro_batch)
            yield from run_on_ranks(train, resources.ranks, resources.device)
        else:
            yield from report_epochs(task, setup, micro_batch, RankContext())
    except Exception as error:
        failure = failure_from(error)
    else:
        return
    yield failure


def _images_per_rank(setup: TrainingSetup) -> int:
    """Images of an optimizer step that one rank sees."""
    train_images = math.ceil(setup.data.num_train * (1 - setup.recipe.val_fraction))
    return min(setup.recipe.batch_size, train_images) // setup.resources.ranks


def _images_per_pass(setup: TrainingSetup, micro_batch: int | None) -> int:
    asked = micro_batch or setup.recipe.largest_micro_batch(setup.resources.device)
    return min(asked, setup.recipe.group_size, _images_per_rank(setup))


def _report(trainer: Trainer) -> TrialReport:
    diverged = trainer.history[-1].diverged
    return TrialReport(
        history=tuple(trainer.history),
        test_top1=trainer.test() if trainer.finished and not diverged else None,
        device=device_name(trainer.device),
        torch=torch.__version__,
        ranks=trainer.rank_context.size,
        ema_test_top1=trainer.ema_test_top1,
        micro_batch=trainer.micro_batch,
        accumulation=trainer.passes,
        finished=trainer.finished,
    )
