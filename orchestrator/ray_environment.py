"""What Ray reads from the environment. It must be set before Ray is imported, so this module does not import Ray."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.ray_cluster import Cluster


def open_cluster(
    address: str | None = None,
    *,
    cpus: int | None = None,
    gpus: float | None = None,
    dashboard: bool = False,
    small_images: bool = False,
) -> Cluster:
    """Configure Ray, import it, and start or join a cluster: see `Cluster`. Its trials get `cpus` and `gpus`."""
    configure_ray(joining=bool(address))
    from orchestrator.ray_cluster import Cluster

    return Cluster(address, cpus, gpus, dashboard=dashboard, small_images=small_images)


def configure_ray(*, joining: bool) -> None:
    """Set the variables that Ray and Tune read; `joining` adds those for a cluster that runs already."""
    os.environ.update(
        {
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # otherwise a warning on every machine without a GPU
            "RAY_AIR_NEW_OUTPUT": "0",
            "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths keep their meaning
            "RAY_USAGE_STATS_ENABLED": "0",
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # saves five files and fsyncs per trial that nobody reads
            "TUNE_DISABLE_SIGINT_HANDLER": "1",  # orchestrator/interrupts.py handles signals
            "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # otherwise Tune starts the trials' processes one by one
        }
    )
    if joining:
        _configure_joining()


def _configure_joining() -> None:
    """Send a token if this user has one, and give up within seconds where no Ray cluster answers."""
    token_file = Path("~/.ray/auth_token").expanduser()
    names_token = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ
    if names_token or token_file.exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # a cluster that asks for no token accepts one too
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # with a wrong token
    os.environ.setdefault("RAY_py_gcs_connect_timeout_s", "5")  # where something other than Ray listens
