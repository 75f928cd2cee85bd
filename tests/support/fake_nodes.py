"""`orchestrate.py` with seven fake trials of six epochs: `python -m tests.support.fake_nodes KEPT --space ...`."""

import sys
from pathlib import Path

import orchestrate
import results.report.write_report
from orchestrator.ray_environment import configure_ray

EPOCHS = 6


def main(folder: Path, arguments: list[str]) -> int:
    configure_ray(joining=True)
    from tests.support.fake_trial import FakeBehaviour, fake_the_training

    fake_the_training(FakeBehaviour(folder=folder, budget=EPOCHS, epoch_seconds=0.5))
    results.report.write_report.write_report = lambda study: "no report"
    return orchestrate.main([*arguments, "--epochs", str(EPOCHS)])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
