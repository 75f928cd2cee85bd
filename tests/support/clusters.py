"""One Ray for all tests that do not kill it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from orchestrator import ray_environment, study_run
from orchestrator.ray_cluster import Cluster


@contextmanager
def commands_use(cluster: Cluster) -> Iterator[None]:
    """Let every command that runs in this process use `cluster` instead of starting one, and leave it running.

    Its processes know no space file that a command names later, so that their code cannot be compared.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_environment, "open_cluster", lambda *arguments, **options: nullcontext(cluster))
        patch.setattr(study_run, "code", lambda: None)
        yield
