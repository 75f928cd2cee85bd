"""All samplers by the names of the command line."""

from __future__ import annotations

from schedulers.samplers.evolution import Evolution
from schedulers.samplers.gp import GP
from schedulers.samplers.simple import Grid, Random
from schedulers.samplers.tpe import TPE

AnySampler = Grid | Random | Evolution | TPE | GP

SAMPLERS: dict[str, type[AnySampler]] = {
    "grid": Grid,
    "random": Random,
    "evolution": Evolution,
    "tpe": TPE,
    "gp": GP,
}


def make_sampler(name: str, seed: int) -> AnySampler:
    """The sampler of that name. Raises ValueError for a name that is not in SAMPLERS."""
    if name not in SAMPLERS:
        raise ValueError(f"no sampler {name!r} among {', '.join(SAMPLERS)}")
    return SAMPLERS[name](seed)
