"""What one command line asks for: its candidates, its trials, and which of these still need training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from results.records import ENDED, TrialRecord
from results.settings import PublishedRow, StudySettings
from results.statistics.significance import MARGIN
from results.store import Study
from schedulers.budget import Budget
from schedulers.futility import Futility
from searchspace import user_space
from searchspace.candidate import Candidate
from searchspace.spaces import SearchSpace
from trainers.recipes import Recipe
from trainers.version import code, commit

if TYPE_CHECKING:
    from trainers.data.dataset import ImageDataset
    from trainers.warm_start import Weights


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What decides which trials are run. It may change between two runs of one study."""

    proposals: int = 0  # candidates that the sampler proposes, beyond those that are always trained
    sampler: str = "gp"
    stopping: str = "asha"
    keep_published: bool = False
    cost: str | None = None  # "flops" or "params": search for the Pareto front of top-1 and this cost
    race: float | None = None  # confidence at which the best candidate counts as found
    budget: Budget | None = None


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What one command line asks for. `candidates` are always trained: the published ones, then the baseline."""

    space: SearchSpace
    recipe: Recipe
    data: ImageDataset
    candidates: list[Candidate]
    seeds: int
    study: Study
    options: SearchOptions
    weights: Weights | None = None  # initial weights of every trial

    def settings(self) -> StudySettings:
        """The content of study.json: what must not change within a study, and the search options, which may."""
        options = asdict(self.options)
        options["budget"] = str(self.options.budget) if self.options.budget else None
        return StudySettings(
            space=self.space.name,
            space_file=user_space.fingerprint(),
            backbone=self.space.backbone,
            data_name=self.data.name,
            data_fingerprint=self.data.fingerprint,
            recipe=self.recipe.choices(),
            code=code(),
            budget=self.recipe.budget,
            rows=self._published_rows(),
            baseline=self.space.baseline_candidate.placement,
            rungs=tuple(self.rungs()),
            search=options,
        )

    def _published_rows(self) -> tuple[PublishedRow, ...]:
        """The paper's rows that this space reproduces."""
        rows = []
        for row in self.space.published_rows():
            rows.append(
                PublishedRow(
                    table=row.table,
                    row=row.row,
                    heads=row.heads,
                    placement=row.candidate.placement,
                    baseline=row.baseline.placement,
                )
            )
        return tuple(rows)

    def rungs(self) -> list[int]:
        """The epochs at which trials pause; none in a race and without a stopping rule."""
        if self.options.race or self.options.stopping == "none":
            return []
        return self.recipe.rungs

    def judged_rows(self) -> dict[str, str]:
        """The published candidates that may be stopped for futility, each with its baseline.

        None with --keep-published or without rungs. A baseline is never stopped, nor is a row that is compared with
        several baselines, or with one that is not trained.
        """
        if self.options.keep_published or not self.rungs():
            return {}
        trained = {str(candidate) for candidate in self.candidates}
        baselines: dict[str, set[str]] = {}
        for row in self.space.published_rows():
            baselines.setdefault(str(row.candidate), set()).add(str(row.baseline))
        all_baselines = set().union({str(self.space.baseline_candidate)}, *baselines.values())
        judged = {}
        for candidate, its_baselines in baselines.items():
            if candidate in trained - all_baselines and len(its_baselines) == 1 and its_baselines <= trained:
                judged[candidate] = next(iter(its_baselines))
        return judged

    def futility(self) -> Futility:
        """The rule that stops published rows."""
        return Futility(
            baselines=self.judged_rows(),
            rungs=self.rungs(),
            start=self.recipe.rung_start,
            budget=self.recipe.budget,
            margin=MARGIN,
        )

    def exempt_candidates(self) -> set[str]:
        """The candidates that no rung pauses: those that are always trained and not judged for futility."""
        return {str(candidate) for candidate in self.candidates} - self.judged_rows().keys()

    def pauses(self, candidate: str) -> list[int]:
        """The epochs at which trials of a candidate pause."""
        if candidate in self.exempt_candidates():
            return []
        futility = self.futility()
        return futility.pauses() if candidate in futility.baselines else self.rungs()

    def input_shape(self) -> tuple[int, int, int]:
        """Image side in pixels, channels, and number of classes."""
        return self.recipe.img_size, self.data.channels, len(self.data.classes)

    def num_comparisons(self) -> int:
        """Comparisons with a baseline in the largest table of the report, at least 1."""
        compared = {(row.table, row.candidate) for row in self.space.published_rows() if row.candidate != row.baseline}
        per_table = Counter(table for table, _ in compared)
        return max(*per_table.values(), self.options.proposals, 1)

    def trial(self, candidate: Candidate, seed: int) -> TrialRecord:
        """The row of a trial that has not been trained."""
        recipe_key = f"{self.recipe.name}-{self.recipe.fingerprint}"
        return TrialRecord(
            key=f"{candidate}--{recipe_key}-{self.data.fingerprint}--seed{seed}",
            study=self.study.name,
            space=self.space.name,
            candidate=str(candidate),
            backbone=candidate.backbone,
            placement=candidate.placement,
            published=candidate in self.space.published_candidates(),
            recipe=self.recipe.name,
            recipe_fingerprint=self.recipe.fingerprint,
            data=self.data.name,
            data_fingerprint=self.data.fingerprint,
            seed=seed,
            budget=self.recipe.budget,
            commit=commit(),
            code=code(),
        )

    def matching_trial(self, other: TrialRecord) -> TrialRecord | None:
        """This study's trial that another study's trial `other` can replace, or None."""
        try:
            candidate = Candidate.parse(other.candidate)
        except ValueError:  # it has a mixer that only the other study's space defines
            return None
        can_be_proposed = candidate in self.space and (bool(self.options.race) or other.seed == 0)
        always_trained = candidate in self.candidates and other.seed < self.seeds
        if can_be_proposed or always_trained:
            return self.trial(candidate, other.seed)
        return None

    def known_trials(self) -> list[TrialRecord]:
        """The study's trials in the order in which they began.

        A trial that failed or that lacks epoch rows is returned as running, with the epochs it has: it needs training.
        So is one that was stopped, with --keep-published.
        """
        epochs = self.study.epochs()["key"].value_counts()
        records = self.study.records(TrialRecord)
        records.sort(key=lambda record: (record.number or 0, record.seed))
        known = []
        for record in records:
            recorded_epochs = int(epochs.get(record.key, 0))
            is_resumed = record.status == "stopped" and self.options.keep_published
            if needs_training(record) or is_resumed or recorded_epochs != record.epoch:
                record = replace(record, status="running", epoch=recorded_epochs, commit=commit(), code=code())
            known.append(record)
        return known

    def requested_trials(self) -> list[TrialRecord]:
        """All trials asked for, as far as the study knows them.

        Proposals that the sampler has not made yet are represented by randomly drawn candidates. Of a race only the
        trials that have begun are known.
        """
        known = {record.key: record for record in self.known_trials()}
        if self.options.race:
            return list(known.values())
        trials = []
        candidates = self._requested_candidates(known.values())
        stopped = {record.candidate for record in known.values() if record.status == "stopped"}
        for seed in range(self.seeds):
            for candidate in candidates:
                trial = self.trial(candidate, seed)
                if trial.key in known or str(candidate) not in stopped:  # a stopped row gets no further seeds
                    trials.append(known.get(trial.key, trial))
        return trials

    def _requested_candidates(self, known: Iterable[TrialRecord]) -> list[Candidate]:
        """The candidates that are always trained, those proposed so far, and drawn ones for proposals to come."""
        candidates = list(self.candidates)
        for record in known:
            if not record.reused:
                candidates.append(Candidate.parse(record.candidate))
        candidates = list(dict.fromkeys(candidates))
        num_open = self.options.proposals - (len(candidates) - len(self.candidates))
        if num_open > 0:
            drawn = self.space.sample(self.options.proposals, self.recipe.img_size)
            new = [candidate for candidate in drawn if candidate not in candidates]
            candidates += new[:num_open]
        return candidates

    def pending_trials(self) -> list[TrialRecord]:
        """The requested trials that still need training or lack rows."""
        return [trial for trial in self.requested_trials() if needs_training(trial)]

    def unmeasured_candidates(self) -> list[Candidate]:
        """The candidates that are always trained or were trained, and whose cost no device has measured yet."""
        trained = [Candidate.parse(name) for name in self.study.ended()["candidate"].unique()]
        measured = set(self.study.costs()["candidate"])
        candidates = dict.fromkeys([*self.candidates, *trained])
        return [candidate for candidate in candidates if str(candidate) not in measured]


def needs_training(trial: TrialRecord) -> bool:
    """Whether the trial is new, interrupted or failed. A paused one waits for its promotion and needs none now."""
    return trial.status not in ENDED
