"""Searches played through with invented learning curves: no model, no Ray."""

from itertools import product

import numpy as np

from schedulers.encoded_space import CandidatePool, EncodedSpace
from schedulers.search import TrialState

LEVELS = (1, 3, 9)
LETTERS = ["".join(letters) for letters in product("abcd", repeat=3)]
POOL = CandidatePool(LETTERS, EncodedSpace(np.array(list(product(range(4), repeat=3))), (False,) * 3))


def curve(candidate, seed, epochs):
    """Later letters are better, and everything rises; a seed is worth a tenth of a point."""
    level = 50 + sum(ord(letter) - ord("a") for letter in candidate) + 0.1 * seed
    return tuple(level + 2 * epoch for epoch in range(epochs))


def play(search, trials=None, workers=1, max_jobs=10_000):
    """Run a search to its end or until `max_jobs` jobs have begun. Returns the jobs and the trials."""
    trials = dict(trials or {})
    active_jobs, jobs = {}, []
    while True:
        while len(active_jobs) < workers and len(jobs) < max_jobs:
            job = search.next_job(trials, active_jobs)
            if job is None:
                break
            jobs.append(job)
            active_jobs[job.name] = job
            before = trials.get(job.name, TrialState())
            trials[job.name] = TrialState(status="running", top1=before.top1)
        if not active_jobs:
            return jobs, trials
        job = active_jobs.pop(next(iter(active_jobs)))
        status = "done" if job.until == LEVELS[-1] else "paused"
        trials[job.name] = TrialState(status=status, top1=curve(job.candidate, job.seed, job.until))
