"""One trial on several GPUs of a node: a process for each, joined by torch's DistributedDataParallel. None outlives the
process that started it, and none is waited for when another has died."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing import connection, parent_process
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from torch import multiprocessing

from searchspace.user_space import load_from_environment
from trainers.rank_context import RankContext
from trainers.run_trial import RankDiedError, Result, Run

PATIENCE = timedelta(hours=1)  # others wait while the first rank writes to a store that may be away for a while
GRACE = 2.0  # seconds in which the ranks that suffer from another's failure may speak before it does


def results_of_ranks(task: Run) -> Iterator[Result]:
    """The results of `task`, trained by `task.share.ranks` processes; their exceptions are raised here."""
    context = multiprocessing.get_context("spawn")
    with TemporaryDirectory(prefix="ranks-") as meeting:
        ranks = []
        try:
            for rank in range(task.share.ranks):
                receive, send = context.Pipe(duplex=False)
                arguments = (task, RankContext(rank, task.share.ranks), f"file://{meeting}/store", send)
                process = context.Process(target=_rank, args=arguments, name=f"rank {rank}")
                process.start()
                send.close()
                ranks.append((process, receive))
            yield from _listen(ranks)
        finally:
            for process, _ in ranks:
                process.kill()
            for process, _ in ranks:
                process.join()


def _listen(ranks: list[tuple[Any, Any]]) -> Iterator[Result]:
    """What the first rank sends, until all have ended well."""
    waiting = {pipe: process for process, pipe in ranks}
    while waiting:
        for pipe in _ready(waiting):
            try:
                kind, content = pipe.recv()
            except EOFError:
                _ended(waiting.pop(pipe))
                continue
            if kind == "result":
                yield content
            else:
                _raise_first_cause((kind, content), waiting)


def _ready(waiting: dict[Any, Any], timeout: float | None = None) -> list[Any]:
    """The pipes that have something to say, or have been closed."""
    return list(connection.wait(waiting, timeout))


def _ended(process: Any) -> None:
    process.join()
    if process.exitcode:
        raise RankDiedError(f"{process.name} died with exit code {process.exitcode}")


def _raise_first_cause(failure: tuple[str, Any], waiting: dict[Any, Any]) -> None:
    """One rank's failure fails the others: death and memory are causes, a broken connection is none."""
    failures, until, ranks = [failure], time.monotonic() + GRACE, list(waiting.values())
    while waiting and (ready := _ready(waiting, max(0.0, until - time.monotonic()))):
        for pipe in ready:
            try:
                failures.append(pipe.recv())
            except EOFError:
                _ended(waiting.pop(pipe))
    for process in ranks:  # one whose pipe its loader's processes still hold
        if process.exitcode and process.exitcode < 0:
            _ended(process)
    by_kind = dict(reversed(failures))
    if "memory" in by_kind:
        raise torch.OutOfMemoryError(by_kind["memory"])
    if "input" in by_kind:
        number, text = by_kind["input"]
        raise OSError(number, text) if number else ValueError(text)
    raise RuntimeError(by_kind.get("error") or failures[0][1])


def _rank(task: Run, team: RankContext, meeting: str, send: Any) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    on_gpu = task.share.device == "cuda"
    device = f"cuda:{team.rank}" if on_gpu else "cpu"
    try:
        if on_gpu:
            torch.cuda.set_device(device)
        dist.init_process_group(
            "nccl" if on_gpu else "gloo", init_method=meeting, rank=team.rank, world_size=team.size, timeout=PATIENCE
        )
        load_from_environment()
        for result in task.results(team, device):
            if team.rank == 0:
                send.send(("result", result))
        dist.destroy_process_group()
    except torch.OutOfMemoryError as error:
        send.send(("memory", str(error)))
    except (ValueError, OSError) as error:
        number = error.errno if isinstance(error, OSError) else None
        send.send(("input", (number, str(error.strerror) if isinstance(error, OSError) and number else str(error))))
    except BaseException as error:
        broken = isinstance(error, dist.DistError) or "gloo" in str(error).lower()
        send.send(("broken" if broken else "error", traceback.format_exc()))
    send.close()
    # Not the interpreter's own end, which may wait for a rank that is gone.
    os._exit(0)


def _die_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
