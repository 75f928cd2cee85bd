"""Actors that hold the GPUs that are out of use, so that Ray gives them to nobody. They end with the command.

Ray has no request for one particular GPU. So GPUs of the node are requested one by one until the sick one comes; the
others are given back.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.gpu_placement import Gpu


class Blocker:
    """Does nothing, on the GPUs that Ray gave it."""

    def gpus(self) -> list[str]:
        """Their indices."""
        return [str(index) for index in ray.get_gpu_ids()]


@dataclass
class _Search:
    """The request that is under way for a slot of `gpu`, and the actors that got other GPUs meanwhile."""

    gpu: Gpu
    deadline: float
    actor: Any
    answer: Any
    others: list[Any] = field(default_factory=list)


class GpuBlockers:
    """Takes the sick GPUs out of Ray's hands, one slot at a time, without ever waiting."""

    def __init__(self, gpus_per_trial: float, *, patience_seconds: float = 30.0) -> None:
        """A slot is what one trial takes of a GPU: all of it, or a fraction. A search ends after the patience."""
        self.share = min(1.0, gpus_per_trial)
        self.slots = int(1 / self.share) if self.share else 0  # of each GPU
        self.patience_seconds = patience_seconds
        self.held: defaultdict[Gpu, list[Any]] = defaultdict(list)
        self._search: _Search | None = None
        self._paused_until = -float("inf")

    def retry(self) -> None:
        """Search again at once: Ray has just handed out a sick GPU."""
        self._paused_until = -float("inf")

    def poll(self, trials_on: dict[Gpu, int], now: float) -> bool:
        """Go on taking the sick GPUs' slots that are free. Returns whether a search is under way.

        `trials_on` holds, for each sick GPU, the number of trials that still run on it. While a search is under way no
        trial should be started, which could get the slot first.
        """
        if self._search is not None:
            self._listen(self._search, now)
        if self._search is None and now >= self._paused_until:
            for gpu, trials in trials_on.items():
                if len(self.held[gpu]) + trials < self.slots:
                    actor, answer = self._request(gpu)
                    self._search = _Search(gpu, now + self.patience_seconds, actor, answer)
                    break
        return self._search is not None

    def _request(self, gpu: Gpu) -> tuple[Any, Any]:
        """A new actor on the node of `gpu`, and the future of what it answers."""
        on_this_node = NodeAffinitySchedulingStrategy(gpu.node, soft=False)
        blocker: Any = ray.remote(Blocker)
        actor = blocker.options(num_cpus=0, num_gpus=self.share, scheduling_strategy=on_this_node).remote()
        return actor, actor.gpus.remote()

    def _listen(self, search: _Search, now: float) -> None:
        """Hear which GPU came, if one did, and end the search or ask for another."""
        ready, _ = ray.wait([search.answer], timeout=0)
        if not ready:
            if now > search.deadline:
                self._end([search.actor, *search.others])
                self._paused_until = now + self.patience_seconds
            return
        try:
            indices = ray.get(search.answer)
        except RayError:  # the node is gone, and its GPUs with it
            self._end(search.others)
            self._paused_until = now + self.patience_seconds
            return
        if search.gpu.index in indices:
            self.held[search.gpu].append(search.actor)
            self._end(search.others)
        else:
            search.others.append(search.actor)
            search.actor, search.answer = self._request(search.gpu)

    def _end(self, actors: list[Any]) -> None:
        for actor in actors:
            ray.kill(actor)
        self._search = None
