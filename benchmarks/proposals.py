"""How long does a sampler take for a proposal? Measured on one thread, with levels ** axes invented candidates.

`python -m benchmarks.proposals [--axes 4] [--levels 10] [--trials 300]` takes a minute. The time covers everything from
the observations to the next candidate, fits of hyperparameters included.
"""

from __future__ import annotations

import argparse
import time
from itertools import product

import numpy as np
from threadpoolctl import threadpool_limits

import schedulers.samplers.gp_kernel  # noqa: F401  imported before the clock starts
from schedulers.encoded_space import EncodedSpace, Observation
from schedulers.samplers.registry import SAMPLERS, make_sampler


def proposal_seconds(name: str, space: EncodedSpace, trials: int) -> list[float]:
    """How long each proposal of a search took."""
    rng = np.random.default_rng(0)
    top1 = np.full(len(space), 90.0)
    for levels in space.levels.T:
        effects = rng.normal(size=levels.max() + 1)
        top1 += effects[levels]
    sampler = make_sampler(name, 0)
    observations: list[Observation] = []
    seconds = []
    for _ in range(trials):
        start = time.perf_counter()
        index = sampler.propose(space, observations)
        seconds.append(time.perf_counter() - start)
        assert index is not None
        observations.append(Observation(index=index, value=float(top1[index] + rng.normal(0, 0.2))))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", type=int, default=4)
    parser.add_argument("--levels", type=int, default=10)
    parser.add_argument("--trials", type=int, default=300)
    args = parser.parse_args()
    levels = np.array(list(product(range(args.levels), repeat=args.axes)))
    space = EncodedSpace(levels, (False,) * args.axes)
    print(f"{len(space):,} candidates, {args.trials} trials; milliseconds a proposal")
    print("sampler           mean    median       95 %   largest")
    for name in SAMPLERS:
        with threadpool_limits(1):
            seconds = 1000 * np.array(proposal_seconds(name, space, args.trials))
        cells = (seconds.mean(), np.median(seconds), np.quantile(seconds, 0.95), seconds.max())
        print(f"{name:12}" + "".join(f"{cell:10.1f}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
