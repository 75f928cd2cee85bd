"""`orchestrate.py` on a machine with four GPUs that only Ray believes in, and with fake trials:
`python -m tests.support.fake_gpus KEPT SICK,SICK --space ...`. On the sick GPUs every trial fails."""

import sys
from pathlib import Path
from typing import Any

import orchestrate
import results.report.write_report
from orchestrator.ray_environment import configure_ray

EPOCHS = 3


def main(folder: Path, sick_gpus: list[str], arguments: list[str]) -> int:
    configure_ray(joining=False)
    from orchestrator import ray_cluster
    from tests.support.fake_trial import FakeBehaviour, fake_the_training

    init_ray = ray_cluster._init_ray

    def init_with_gpus(address: str, **options: Any) -> Any:
        return init_ray(address, num_cpus=4, num_gpus=4, **options)

    ray_cluster._init_ray = init_with_gpus
    fake_the_training(FakeBehaviour(folder=folder, budget=EPOCHS, epoch_seconds=0.5, sick_gpus=sick_gpus))
    results.report.write_report.write_report = lambda study: "no report"
    return orchestrate.main([*arguments, "--epochs", str(EPOCHS)])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]))
