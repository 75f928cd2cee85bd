"""Ray's nodes: a cluster started here or joined, what its nodes have and what a trial gets of one. For cluster.py."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

os.environ |= {  # read by Ray when it is imported
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # otherwise a warning on every machine without a GPU
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # five files and fsyncs a trial that nobody reads
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Interrupts is ours
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # Jobs says how many; Tune would start the processes of trials one by one
}

import ray

from orchestrator import orphan_reaper

# What the raylet says of dead workers would go through the live table; the trial's line says it.
ray._private.worker._worker_logs_enabled = False


def connect(address: str | None, options: dict[str, Any]) -> Any:
    """Start Ray here or join it; ValueError in one line if it cannot be joined."""
    if not address:
        orphan_reaper.start()
        return ray.init("local", log_to_driver=False, logging_level=logging.CRITICAL, **options)
    host, _, port = address.rpartition(":")
    if address != "auto" and (not host or "/" in host or not port.isdigit()):
        raise ValueError(f"--address {address}, expected HOST:PORT or auto")
    try:
        if address != "auto":  # where nothing listens, Ray tries for minutes
            socket.create_connection((host, int(port)), timeout=5).close()
        return ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except (OSError, OverflowError, RuntimeError, ray.exceptions.RayError) as error:
        raise ValueError(f"no Ray cluster to join at {address}: {' '.join(str(error).split())[:300]}") from error


def living() -> list[dict[str, float]]:
    """What each living node has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def holds(node: dict[str, float], cpus: int, gpus: float) -> int:
    """How many trials of such a share fit on the node; one that has a fraction of a GPU is never spread over two."""
    by_cpus, cards = int(node.get("CPU", 0) / cpus), int(node.get("GPU", 0))
    if not gpus:
        return by_cpus
    return min(by_cpus, cards * int(1 / gpus) if gpus < 1 else int(cards / gpus))


def cpus_and_gpus(cpus: int | None, gpus: float | None) -> tuple[int, float]:
    """CPUs and GPUs of one trial: as asked, or one GPU where there are any and its part of its node's CPUs."""
    found = living()
    gpus = float(any(node.get("GPU", 0) for node in found)) if gpus is None else gpus
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(f"{gpus:g} GPUs a trial, expected a fraction of one or a whole number")
    parts = [node.get("CPU", 0) * gpus / node["GPU"] for node in found if node.get("GPU", 0) >= gpus > 0]
    cpus = cpus or max(1, int(min(parts, default=1)))
    if not any(holds(node, cpus, gpus) for node in found):
        sizes = dict.fromkeys(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in found)
        raise ValueError(f"a trial wants {cpus} CPUs and {gpus:g} GPUs, the nodes have {', '.join(sizes)}")
    return cpus, gpus
