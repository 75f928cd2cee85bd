"""Training on several ranks of one node: a process for each, joined by torch.distributed. No rank outlives the process
that started it, and none waits for one that died."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing import connection, parent_process
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from torch import multiprocessing

from trainers.failures import failure_from
from trainers.rank_context import RankContext
from trainers.trial_task import ChosenMicroBatch, Failure, TrialReport

Message = TrialReport | ChosenMicroBatch  # what rank 0 sends
TrainRank = Callable[[RankContext], Iterator[Message]]


@dataclass(frozen=True)
class _RankFailure:
    """What a rank sends when it fails. `is_consequence`: it lost the connection to another rank, which failed first."""

    failure: Failure
    is_consequence: bool


def run_on_ranks(train: TrainRank, ranks: int, device: str) -> Iterator[Message | Failure]:
    """Call `train(context)` in `ranks` new processes; yield what rank 0 sends, and a failure of any last.

    `device` is "cpu", or "cuda" for one GPU each. `train` must be picklable.
    """
    spawn = multiprocessing.get_context("spawn")
    with TemporaryDirectory(prefix="ranks-") as meeting:
        processes = {}
        try:
            for rank in range(ranks):
                receiver, sender = spawn.Pipe(duplex=False)
                arguments = (train, RankContext(rank, ranks), device, f"file://{meeting}/store", sender)
                process = spawn.Process(target=_run_rank, args=arguments, name=f"rank {rank}")
                process.start()
                sender.close()
                processes[receiver] = process
            yield from _listen(dict(processes))
        finally:
            for process in processes.values():
                process.kill()
            for process in processes.values():
                process.join()


def _listen(processes: dict[Any, Any]) -> Iterator[Message | Failure]:
    """What rank 0 sends, until all ranks have ended or one fails. `processes` by their pipes."""
    for message in _receive(processes):
        if isinstance(message, _RankFailure):
            yield _find_cause(message, processes)
            return
        yield message
        if isinstance(message, Failure):
            return


def _receive(processes: dict[Any, Any], seconds: float | None = None) -> Iterator[Message | _RankFailure | Failure]:
    """What the ranks send and, as a Failure, the death of each, until all have ended or the time is up.

    Ranks that have ended are taken out of `processes`.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while processes:
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready: list[Any] = list(connection.wait(processes, timeout))
        if not ready:
            return
        for pipe in ready:  # each has a message, or has been closed
            try:
                yield pipe.recv()
            except (EOFError, OSError):  # an OSError if the rank died while it was sending
                death = _end(processes.pop(pipe))
                if death is not None:
                    yield death


def _end(process: Any) -> Failure | None:
    """Wait for a process that closed its pipe; the failure if it died."""
    process.join()
    if not process.exitcode:
        return None
    return Failure("process died", f"{process.name} died with exit code {process.exitcode}")


def _find_cause(first: _RankFailure, processes: dict[Any, Any], grace_seconds: float = 2.0) -> Failure:
    """One rank's failure breaks the connections of the others: find the failure that came first.

    The others may report for `grace_seconds`. A death comes before everything else, then the kinds in the order below.
    """
    started = list(processes.values())
    failures = [first]
    for message in _receive(processes, grace_seconds):
        if isinstance(message, Failure):
            return message
        if isinstance(message, _RankFailure):
            failures.append(message)
    for process in started:  # the pipe of a dead rank stays open while its data loader's processes live
        if process.exitcode and process.exitcode < 0:
            return _end(process) or first.failure
    kinds = ("memory", "device", "process died", "disk", "io", "input", "error")
    causes = [message.failure for message in failures if not message.is_consequence]
    if not causes:
        return replace(first.failure, rank=None)
    return min(causes, key=lambda failure: kinds.index(failure.kind))


def _run_rank(train: TrainRank, context: RankContext, device: str, meeting: str, sender: Any) -> None:
    """The main function of a rank's process."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        if device == "cuda":
            torch.cuda.set_device(context.device(device))
        dist.init_process_group(
            "nccl" if device == "cuda" else "gloo",
            init_method=meeting,
            rank=context.rank,
            world_size=context.size,
            timeout=timedelta(hours=1),  # rank 0 may wait long for the object store that it saves to
        )
        for message in train(context):
            if context.rank == 0:
                sender.send(message)
        dist.destroy_process_group()
    except BaseException as error:
        failure = replace(failure_from(error), rank=context.rank)
        sender.send(_RankFailure(failure, _lost_connection(error)))
    sender.close()
    # Not the interpreter's own exit, which may wait for a rank that is gone.
    os._exit(0)


def _lost_connection(error: BaseException) -> bool:
    """Whether a collective failed because another rank is gone."""
    if isinstance(error, torch.OutOfMemoryError | ValueError | OSError):
        return False
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()


def _die_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
