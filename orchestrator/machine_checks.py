"""What a machine must be able to do before a study starts on it: its GPUs compute, and its loaders have memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from trainers.device_health import DeviceHealth, check_devices, check_nccl, leave_out_sick_gpus
from trainers.recipes import Recipe
from trainers.resources import Resources
from trainers.shared_memory import loader_bytes, shared_memory_problem

if TYPE_CHECKING:
    from orchestrator.ray_cluster import Cluster


def check_gpus_here(recipe: Recipe, gpus: float | None) -> None:
    """Hide this machine's sick GPUs from all that is started from now on, with a line for each.

    Nothing is checked if `gpus` is 0. ValueError in one line if there are GPUs and none can be used, or if a trial on
    several GPUs lacks NCCL.
    """
    if gpus == 0:
        return
    health = check_devices(compiles=recipe.compile)
    for line in leave_out_sick_gpus(health):
        print(line, file=sys.stderr, flush=True)
    if health and gpus is not None and gpus > 1:
        check_nccl()


def check_gpus_of_nodes(cluster: Cluster, recipe: Recipe) -> dict[str, list[DeviceHealth]]:
    """The sick GPUs of every node of a cluster that was joined, by host; a line is printed for each.

    ValueError in one line if all GPUs of all nodes are sick.
    """
    if not cluster.request.gpus:
        return {}
    found = cluster.call_on_each_node(check_devices, compiles=recipe.compile)
    sick = {}
    for host, health in found.items():
        sick[host] = [device for device in health if device.problem]
        for device in sick[host]:
            print(f"{host}: {device}", file=sys.stderr, flush=True)
    num_gpus = sum(len(health) for health in found.values())
    if num_gpus and num_gpus == sum(len(devices) for devices in sick.values()):
        raise ValueError("no GPU of this cluster can be used")
    return sick


def check_shared_memory(cluster: Cluster, recipe: Recipe, resources: Resources) -> None:
    """ValueError in one line if the loaders of the trials on one node do not fit into its shared memory."""
    if not resources.workers:
        return
    wanted = loader_bytes(recipe, resources, trials=cluster.most_trials_on_a_node())
    for host, problem in cluster.call_on_each_node(shared_memory_problem, wanted).items():
        if problem:
            raise ValueError(f"{host}: {problem}")
