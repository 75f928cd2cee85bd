"""Measures what candidates cost on the device that trains them, and stores the results in the study."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from orchestrator.plan import StudyPlan
from results.records import CostRecord
from searchspace.candidate import Candidate
from trainers.cost import Cost, measure
from trainers.data.decoding_estimate import decoding_speed
from trainers.device import trial_device_name

if TYPE_CHECKING:
    from orchestrator.ray_cluster import Cluster


def measure_costs(plan: StudyPlan, cluster: Cluster, candidates: Sequence[str]) -> list[CostRecord]:
    """The costs of these candidates on the trials' device, measured one at a time while nothing else runs.

    Costs that the study holds are not measured again. If measuring fails, that is printed and the rest is left out:
    the trials will fail in the same way, each with its own error in its row.
    """
    found: dict[str, CostRecord] = {}
    try:
        device = cluster.call(trial_device_name, cluster.resources())
        for record in plan.study.records(CostRecord):
            if record.device == device:
                found[record.candidate] = record
        for candidate in candidates:
            if candidate not in found:
                found[candidate] = _measure_and_store(plan, cluster, candidate, device)
    except RuntimeError as error:
        print(f"costs not measured: {error}", file=sys.stderr)
    return [found[candidate] for candidate in candidates if candidate in found]


def _measure_and_store(plan: StudyPlan, cluster: Cluster, candidate: str, device: str) -> CostRecord:
    img_size, channels, num_classes = plan.input_shape()
    cost = cluster.call(measure, Candidate.parse(candidate), plan.recipe, channels, num_classes, cluster.resources())
    record = cost_record(candidate, img_size, device, cost)
    plan.study.write("costs", record.key, [record])
    return record


def cost_record(candidate: str, img_size: int, device: str, cost: Cost) -> CostRecord:
    """The row of a measured cost. Its key names the device, so that a study can hold the costs of several."""
    device_key = re.sub("[^a-z0-9]+", "-", device.lower())
    return CostRecord(
        key=f"{candidate}--{img_size}px--{device_key}", candidate=candidate, img_size=img_size, **asdict(cost)
    )


def measure_decoding(plan: StudyPlan, cluster: Cluster) -> float | None:
    """Images per second that one process decodes; None for images in memory, or if an image cannot be decoded."""
    if not plan.data.streamed:
        return None
    try:
        return cluster.call(decoding_speed, plan.data, plan.recipe)
    except RuntimeError as error:  # the trials will say the same, each in its row
        print(f"decoding not measured: {error}", file=sys.stderr)
        return None
