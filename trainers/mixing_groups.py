"""How the images of an optimizer step are divided into mixing groups, and the groups among the ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class MixingGroup:
    """The positions `start` to `stop` of a batch, whose images are loaded, augmented and mixed together.

    All random draws for a group are functions of the seed, the step and `number`, which counts the groups of a batch.
    """

    number: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def passes(self, micro_batch: int) -> int:
        """Forward passes of at most `micro_batch` images that the group is split into."""
        return math.ceil(len(self) / micro_batch)


def mixing_groups(batch_size: int, group_size: int, *, ranks: int, multiple: int) -> list[MixingGroup]:
    """The groups of a batch: as few as hold at most `group_size` images each, but at least one for each rank.

    Groups are multiples of `multiple` images (2 where images are mixed in pairs), and their sizes differ by at most
    that. `batch_size` is a multiple of it, and at least `ranks` times it.
    """
    units = batch_size // multiple
    units_per_group = max(1, group_size // multiple)
    number = max(math.ceil(units / units_per_group), ranks)
    bounds = [multiple * (units * index // number) for index in range(number + 1)]
    return [MixingGroup(index, bounds[index], bounds[index + 1]) for index in range(number)]
