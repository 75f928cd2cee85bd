"""One trial in the shape of Ray Tune's class trainables: setup, step, cleanup, repr. Knows nothing of Ray."""

from __future__ import annotations

from storage.folder import Folder
from trainers.data.dataset import ImageDataset
from trainers.recipes import Recipe
from trainers.resources import Resources
from trainers.run_trial import Result, Run, run
from trainers.warm_start import Weights


class Trial:
    """One candidate and seed in a process of its own; goes on from its newest checkpoint."""

    def setup(
        self,
        config: dict,
        data: ImageDataset,
        recipe: Recipe,
        checkpoints: Folder,
        share: Resources,
        weights: Weights | None = None,
    ) -> None:
        """`config["trial"]`: key, candidate, seed, how many epochs have their rows already, and until which to go."""
        trial = config["trial"]
        self.name = f"{trial['candidate']} seed {trial['seed']}"
        self.results = run(
            Run(
                trial["candidate"],
                recipe,
                data,
                trial["seed"],
                checkpoints / trial["key"],
                share,
                trial["until"],
                reported=trial["epoch"],
                weights=weights,
            )
        )

    def step(self) -> Result:
        """Train one epoch, and after the last one read the test images."""
        return next(self.results)

    def cleanup(self) -> None:
        """End what this trial has started."""
        self.results.close()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return self.name
