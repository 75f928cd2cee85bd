"""What a machine must be able to do before a study starts on it: its GPUs compute, and its loaders have memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from orchestrator.gpu_placement import Gpu, Placement
from trainers.device_health import DeviceHealth, check_devices, check_nccl, leave_out_sick_gpus, visible_gpus
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


def check_gpus_of_nodes(cluster: Cluster, recipe: Recipe) -> None:
    """Exclude the sick GPUs of a cluster that was joined from training, with a line for each.

    ValueError in one line if the others hold no trial.
    """
    if not cluster.request.gpus:
        return
    for host, checks in cluster.call_on_each_node(check_gpus_of_this_node, compiles=recipe.compile).items():
        for gpu, health in checks:
            if health.problem:
                print(f"{host}: {health}; no trial trains on it", file=sys.stderr, flush=True)
                cluster.exclude(gpu)
    if not cluster.lacks_healthy_gpus():
        return
    if not cluster.healthy_gpus():
        raise ValueError("no GPU of this cluster can be used")
    raise ValueError("the healthy GPUs of this cluster hold no trial")


def check_gpus_of_this_node(*, compiles: bool) -> list[tuple[Gpu, DeviceHealth]]:
    """The health of every GPU of the node on which Ray runs this, each with what Ray calls it."""
    here = Placement.here()
    indices = visible_gpus()
    found = []
    for health in check_devices(compiles=compiles):
        found.append((Gpu(here.host, indices[health.index], here.node), health))
    return found


def check_shared_memory(cluster: Cluster, recipe: Recipe, resources: Resources) -> None:
    """ValueError in one line if the loaders of the trials on one node do not fit into its shared memory."""
    if not resources.workers:
        return
    wanted = loader_bytes(recipe, resources, trials=cluster.most_trials_on_a_node())
    for host, problem in cluster.call_on_each_node(shared_memory_problem, wanted).items():
        if problem:
            raise ValueError(f"{host}: {problem}")
