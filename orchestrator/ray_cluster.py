"""Ray itself: a cluster started here or joined, the nodes that are alive, and what each trial gets of them."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import ray
from ray._private import ray_constants
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator import orphan_reaper, ray_session
from orchestrator.code_snapshot import snapshot_folder
from orchestrator.gpu_placement import Gpu
from searchspace import user_space
from trainers.resources import NodeCapacity, Resources, TrialRequest, describe_sharing

P = ParamSpec("P")
T = TypeVar("T")


class Cluster:
    """A running Ray cluster and what each trial gets of it. A context manager: leaving it ends or leaves Ray."""

    def __init__(
        self,
        address: str | None = None,
        cpus: int | None = None,
        gpus: float | None = None,
        *,
        dashboard: bool = False,
        small_images: bool = False,
    ) -> None:
        """Join the cluster at `address`, or start one here. Each trial gets `cpus` CPUs and `gpus` GPUs, if given.

        With `small_images`, several trials share a GPU unless `gpus` says otherwise; that is printed.
        ValueError in one line if there is no cluster at the address, or if no node can hold a trial.
        """
        self.session: Path | None = None  # the folder of a Ray that was started here
        self.token_place = ""
        self._num_trials = 1
        self._counted_at = -float("inf")
        self.excluded: set[Gpu] = set()
        try:
            if address:
                context = join_ray(address)
            else:
                self.session = ray_session.make_session_folder()
                self.token_place = ray_session.give_token(self.session)
                context = start_ray(self.session, dashboard)
            self.dashboard_url: str = context.dashboard_url
            self.request = TrialRequest.choose(live_nodes(), cpus, gpus, small_images=small_images)
        except ValueError:
            self.close()
            raise
        if gpus is None and self.request.trials_per_gpu > 1:
            print(describe_sharing(self.request), flush=True)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the Ray that was started here, with its folder, or leave the one that was joined."""
        ray.shutdown()
        if self.session:
            ray_session.remove_session_folder(self.session)

    def __str__(self) -> str:
        total = ray.cluster_resources()
        size = f"{total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs"
        return f"{size}, {self.request.cpus} CPUs and {self.request.gpus:g} GPUs per trial"

    def resources(self, loader_workers: int = 0) -> Resources:
        """What one trial gets, with so many loader workers for each of its ranks."""
        return self.request.resources(loader_workers)

    def trials_at_a_time(self) -> int:
        """How many trials fit on the nodes that are alive; at least 1, which then waits until a node can hold it.

        Ray is asked at most once a second.
        """
        now = time.monotonic()
        if now > self._counted_at + 1:
            num_trials = sum(self.request.trials_on(node) for node in live_nodes(self.excluded))
            if self._num_trials and not num_trials and not self.lacks_healthy_gpus():
                print("no node can hold a trial any more: waiting for one", file=sys.stderr, flush=True)
            self._counted_at = now
            self._num_trials = num_trials
        return max(1, self._num_trials)

    def exclude(self, gpu: Gpu) -> None:
        """Leave this GPU out when trials are counted that fit. Ray itself does not know of it: see gpu_blockers.py."""
        self.excluded.add(gpu)
        self._counted_at = -float("inf")

    def healthy_gpus(self) -> int:
        """How many GPUs the nodes have that are alive, without those that were excluded."""
        return int(sum(node.gpus for node in live_nodes(self.excluded)))

    def lacks_healthy_gpus(self) -> bool:
        """Whether a node could hold a trial if no GPU were excluded, and none can without the excluded ones."""
        if not self.excluded or any(self.request.trials_on(node) for node in live_nodes(self.excluded)):
            return False
        return any(self.request.trials_on(node) for node in live_nodes())

    def most_trials_on_a_node(self) -> int:
        """How many trials run at the same time on the node that holds the most."""
        return max((self.request.trials_on(node) for node in live_nodes()), default=1)

    def call_on_each_node(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> dict[str, T]:
        """What `function` returns on every living node, by the node's host name. It takes none of their CPUs."""
        remote = ray.remote(num_cpus=0)(function)
        answers = {}
        for node in ray.nodes():
            if node["Alive"]:
                here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                answers[node["NodeManagerHostname"]] = remote.options(scheduling_strategy=here).remote(*args, **kwargs)
        try:
            return dict(zip(answers, ray.get(list(answers.values())), strict=True))
        except ray.exceptions.RayError as error:
            raise RuntimeError(_one_line(error)) from error

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` with a trial's resources in a process of its own. RuntimeError in one line if it fails."""
        if self.lacks_healthy_gpus():
            raise RuntimeError("no healthy GPU is left")
        remote = ray.remote(num_cpus=self.request.cpus, num_gpus=self.request.gpus)(function)
        try:
            return ray.get(remote.remote(*args, **kwargs))
        except ray.exceptions.RayError as error:
            last_line = str(error).strip().splitlines()[-1]
            raise RuntimeError(last_line) from error


def start_ray(session: Path, dashboard: bool) -> Any:
    """Start Ray on this machine. Everything that it starts ends with this process, however that ends.

    Its ports listen on loopback, and its files lie in the folder `session`. ValueError in one line if it cannot start.
    """
    orphan_reaper.start_reaper(session, snapshot_folder())
    ray_constants.ENABLE_RAY_CLUSTER = False  # Ray's own switch for a node that only this machine reaches
    try:
        return _init_ray("local", include_dashboard=dashboard, dashboard_host="127.0.0.1", _temp_dir=str(session / "r"))
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ValueError(f"Ray does not start: {_one_line(error)}") from error


def join_ray(address: str) -> Any:
    """Join the cluster at `auto` or HOST:PORT; ValueError in one line if that is not possible.

    The snapshot of the code is removed when this process is gone, however it ended.
    """
    host, _, port = address.rpartition(":")
    is_host_and_port = bool(host) and "/" not in host and port.isdigit()
    if address != "auto" and not is_host_and_port:
        raise ValueError(f"--address {address}, expected HOST:PORT or auto")
    snapshot = snapshot_folder()
    if snapshot:
        orphan_reaper.start_reaper(snapshot)
    try:
        if address != "auto":  # where nothing listens, Ray itself would try for minutes
            socket.create_connection((host, int(port)), timeout=5).close()
        return _init_ray(address)
    except (OSError, OverflowError, RuntimeError, ray.exceptions.RayError) as error:
        raise ValueError(f"no Ray cluster to join at {address}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    """What Ray says, which may be a page, in one line."""
    return " ".join(str(error).split())[:300]


def _init_ray(address: str, **options: Any) -> Any:
    # The raylet's messages about dead workers would tear the live table; the trial's own line says it.
    ray._private.worker._worker_logs_enabled = False
    context = ray.init(
        address,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        runtime_env=_runtime_env(),
        **options,
    )
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return context


def _runtime_env() -> dict[str, Any]:
    """What the processes of trials need: the snapshot of the code, and which file defines the user's space.

    Ray brings the snapshot to all nodes. The user's file must have the same path there.
    """
    environment: dict[str, Any] = {}
    snapshot = snapshot_folder()
    if snapshot:
        environment["working_dir"] = str(snapshot)
    if user_space.VARIABLE in os.environ:
        environment["env_vars"] = {user_space.VARIABLE: os.environ[user_space.VARIABLE]}
    return environment


def live_nodes(excluded: Collection[Gpu] = ()) -> list[NodeCapacity]:
    """The CPUs and GPUs of every node that is alive, without the excluded GPUs."""
    nodes = []
    for node in ray.nodes():
        if node["Alive"]:
            resources = node["Resources"]
            num_excluded = sum(gpu.node == node["NodeID"] for gpu in excluded)
            gpus = resources.get("GPU", 0) - num_excluded
            nodes.append(NodeCapacity(cpus=resources.get("CPU", 0), gpus=gpus))
    return nodes
