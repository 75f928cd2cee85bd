"""One trial's job and what comes back: frozen dataclasses that cross processes and folders. Imports no
torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from searchspace.candidate import Candidate
from storage.folder import Folder
from trainers.recipes import Recipe
from trainers.resources import Resources

if TYPE_CHECKING:
    from trainers.data.dataset import ImageDataset
    from trainers.warm_start import Weights

# error: the training raised; input: bad data or settings (both are final); memory: too little for a micro-batch;
# disk: what we keep could not be written, which ends the command; io: data could not be read; device: a GPU or the
# connection between GPUs failed; process died: that of a rank or of a data loader, without a word; code: the process
# has other code than the study, which ends the command.
FailureKind = Literal["error", "input", "memory", "disk", "io", "device", "process died", "code"]


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """What differs between the trials of a study.

    The trial trains until `until` epochs are complete. The first `reported_epochs` of them are recorded already.
    """

    key: str  # name of the trial's folder of checkpoints; if empty, the checkpoints lie in the folder of the setup
    candidate: Candidate
    seed: int
    until: int
    reported_epochs: int = 0

    def __str__(self) -> str:
        return f"{self.candidate} seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """What all trials of a study share. `checkpoints` holds a folder for each trial; with None nothing is saved."""

    recipe: Recipe
    data: ImageDataset
    resources: Resources
    checkpoints: Folder | None
    weights: Weights | None = None  # pretrained weights that training starts from
    code: str | None = None  # fingerprint of the code that must train; None: any may

    def __post_init__(self) -> None:
        has_weights = self.weights is not None
        assert has_weights == (self.recipe.init is not None), (
            "the recipe must name the weights that training starts from"
        )

    def folder_of(self, task: TrialTask) -> Folder | None:
        """The folder of the task's checkpoints, or None if nothing is saved."""
        if self.checkpoints is None or not task.key:
            return self.checkpoints
        return self.checkpoints / task.key


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """What one epoch measured. A diverged epoch has a loss that is not finite, and NaN for `top1`.

    Checkpoints hold these fields: a field that is added later needs a default, for older checkpoints lack it.
    """

    epoch: int  # completed epochs, from 1
    train_loss: float  # mean cross-entropy in nats, with label smoothing
    val_loss: float  # mean cross-entropy in nats on the validation split
    top1: float  # percent of the validation split
    lr: float  # at the last step
    seconds: float  # wall-clock time
    finished_at: float  # seconds since 1970, UTC
    ema_top1: float | None = None  # percent of the validation split with averaged weights; None if none are kept

    @property
    def diverged(self) -> bool:
        """Whether a loss is not finite."""
        return not (math.isfinite(self.train_loss) and math.isfinite(self.val_loss))


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """The state of a trial after an epoch, with the metrics of all its epochs, so that a lost report does no harm."""

    history: tuple[EpochMetrics, ...]
    test_top1: float | None  # percent of the test images, read once after the last epoch of the recipe
    device: str  # its name
    torch: str  # version
    ranks: int  # processes that train together
    micro_batch: int  # images of one forward pass of a rank
    accumulation: int  # forward passes per optimizer step
    finished: bool  # the recipe's budget is spent, or training diverged
    ema_test_top1: float | None = None  # as `test_top1`, with averaged weights; None if none are kept
    note: str | None = None  # one line about a recovery, if there was one before this epoch

    @property
    def last(self) -> EpochMetrics:
        """The newest epoch."""
        return self.history[-1]

    @property
    def epoch(self) -> int:
        """Completed epochs."""
        return self.last.epoch

    @property
    def diverged(self) -> bool:
        """Whether the newest epoch diverged."""
        return self.last.diverged

    @property
    def top1(self) -> float:
        """What rungs compare: percent of the validation split at the newest epoch, and 0 if it diverged."""
        return 0.0 if self.diverged else self.last.top1

    @property
    def seconds(self) -> float:
        """Wall-clock time of all epochs."""
        return sum(epoch.seconds for epoch in self.history)


@dataclass(frozen=True)
class ChosenMicroBatch:
    """The micro-batch that a trial chose by its GPU's memory, sent before it trains: if training fails, what failed."""

    micro_batch: int  # images of one forward pass of a rank


@dataclass(frozen=True)
class Failure:
    """Why a trial cannot go on. `message` is the exception's own text, in one line; `errno` that of an OSError.

    `rank` is the rank that failed; None if several lost their connections and nobody knows whose fault that was.
    """

    kind: FailureKind
    message: str
    traceback: str = ""
    errno: int | None = None
    rank: int | None = 0
