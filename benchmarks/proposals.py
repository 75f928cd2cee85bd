"""How long does a sampler think? `python -m benchmarks.proposals [--axes 4] [--levels 10] [--trials 300]`, a minute.

A space of levels ** axes candidates with made-up values; each sampler proposes one trial after another. Time includes
everything from what was seen to the next point, fits of hyperparameters too. One thread.
"""

from __future__ import annotations

import argparse
import time
from itertools import product

import numpy as np
from threadpoolctl import threadpool_limits

import schedulers.samplers.gp_kernel  # noqa: F401  before the clocks start: no proposal is charged for the import
from schedulers.encoded_space import EncodedSpace, Observation
from schedulers.samplers.registry import SAMPLERS, make_sampler


def think(name: str, points: EncodedSpace, trials: int) -> list[float]:
    """Seconds of each proposal."""
    rng = np.random.default_rng(0)
    worth = [rng.normal(size=levels.max() + 1) for levels in points.levels.T]
    values = sum(own[levels] for own, levels in zip(worth, points.levels.T, strict=True))
    sampler, seen, seconds = make_sampler(name, 0), list[Observation](), []
    for _ in range(trials):
        start = time.perf_counter()
        point = sampler.propose(points, seen)
        seconds.append(time.perf_counter() - start)
        assert point is not None
        seen.append(Observation(index=point, value=float(90 + values[point] + rng.normal(0, 0.2))))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", type=int, default=4)
    parser.add_argument("--levels", type=int, default=10)
    parser.add_argument("--trials", type=int, default=300)
    args = parser.parse_args()
    levels = np.array(list(product(range(args.levels), repeat=args.axes)))
    points = EncodedSpace(levels, (False,) * args.axes)
    print(f"{len(points):,} candidates, {args.trials} trials; milliseconds a proposal")
    print("sampler           mean    median       95 %   largest")
    for name in SAMPLERS:
        with threadpool_limits(1):
            seconds = 1000 * np.array(think(name, points, args.trials))
        cells = (seconds.mean(), np.median(seconds), np.quantile(seconds, 0.95), seconds.max())
        print(f"{name:12}" + "".join(f"{cell:10.1f}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
