"""Which token mixer belongs in which stage? `python orchestrate.py --space placement` trains the placements of Table 5 on
scikit-learn's digits, stops weak ones early, and leaves every row in Parquet. Run it again to do what is missing."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Set
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchspace.candidate import Candidate
from searchspace.spaces import SPACES, SearchSpace
from trainers.recipes import RECIPES, Recipe

# Ray takes 1.5 s to import and torch as long, and neither --help nor a wrong argument should wait for them: heavy modules
# are imported where they are used, and what Ray calls gets its Ray base in `_with_base`.
if TYPE_CHECKING:
    from results.recorder import Recorder
    from results.records import TrialRecord
    from results.store import Study
    from trainers.data import ImageData

RAY_SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # otherwise a warning on every machine without a GPU
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # five files and fsyncs a trial that nobody reads
}


@dataclass(frozen=True)
class Plan:
    """What one command line asks for."""

    space: SearchSpace
    recipe: Recipe
    data: ImageData
    candidates: list[Candidate]  # published first
    seeds: int
    study: Study

    def settings(self) -> dict[str, Any]:
        """What must not change within a study."""
        data = {"name": self.data.name, "fingerprint": self.data.fingerprint}
        return {"space": self.space.name, "backbone": self.space.backbone, "recipe": asdict(self.recipe), "data": data}

    def trials(self) -> list[TrialRecord]:
        """A fresh record for each trial asked for: every candidate with seed 0, then with seed 1 ..."""
        from results.records import TrialRecord

        published, fingerprint = set(self.space.published_candidates()), self.data.fingerprint
        shared = {
            "study": self.study.name,
            "space": self.space.name,
            "recipe": self.recipe.name,
            "recipe_fingerprint": self.recipe.fingerprint,
            "data": self.data.name,
            "data_fingerprint": fingerprint,
            "budget": self.recipe.budget,
            "commit": _commit(),
        }
        return [
            TrialRecord(
                key=f"{candidate}--{self.recipe.name}-{self.recipe.fingerprint}-{fingerprint}--seed{seed}",
                candidate=str(candidate),
                backbone=candidate.backbone,
                placement=candidate.placement,
                published=candidate in published,
                seed=seed,
                **shared,
            )
            for seed in range(self.seeds)
            for candidate in self.candidates
        ]


def main(argv: list[str] | None = None) -> int:
    """0: every trial has its rows; 1: some have not; 2: wrong input; 4: the study is being run; 130, 143: interrupted."""
    args = _parser().parse_args(argv)
    from results.store import StudyBusyError

    with ExitStack() as stack:
        try:
            plan = make_plan(args)
            if args.list:
                print_list(plan)
                return 0
            stack.enter_context(plan.study.owned())
            plan.study.begin(plan.settings())
            asked, pending = missing(plan)
            cluster = stack.enter_context(Cluster(args))
        except StudyBusyError as error:
            print(f"orchestrate.py: {error}", file=sys.stderr)
            return 4
        except (ValueError, OSError) as error:
            print(f"orchestrate.py: error: {error}", file=sys.stderr)
            return 2
        return run(plan, asked, pending, cluster, args.stop_published)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="orchestrate.py", description=__doc__, usage=argparse.SUPPRESS)
    parser.add_argument("--space", choices=SPACES, required=True, help="what is searched")
    parser.add_argument("--recipe", choices=RECIPES, default="digits", help="how it is trained (%(default)s)")
    parser.add_argument("--data", help="folder of class folders, of Parquet files, or torch/<name>:<root> to download to")
    parser.add_argument("--study", help="name of the study (the space, and the recipe unless it is digits)")
    parser.add_argument("--results", type=Path, default=Path("results/runs"), metavar="DIR", help="(%(default)s)")
    parser.add_argument("--seeds", type=int, default=1, metavar="K", help="seeds per candidate (%(default)s)")
    parser.add_argument("--trials", type=int, default=0, metavar="N", help="candidates beyond the published (%(default)s)")
    parser.add_argument("--epochs", type=int, metavar="N", help="end every trial after N epochs of the recipe's schedule")
    parser.add_argument("--stop-published", action="store_true", help="let rungs stop the published candidates too")
    parser.add_argument("--gpus-per-trial", type=float, metavar="G", help="may be a fraction (1 if there are GPUs)")
    parser.add_argument("--cpus-per-trial", type=int, metavar="C", help="also its threads (1, or a GPU's share)")
    parser.add_argument("--address", help="of a running Ray cluster; by default one is started here")
    parser.add_argument("--dashboard", action="store_true", help="start Ray's dashboard on loopback and print its address")
    parser.add_argument("--list", action="store_true", help="print candidates, counts and costs, and launch nothing")
    return parser


def make_plan(args: argparse.Namespace) -> Plan:
    """Check the command line and load the data; ValueError or OSError in one line if it cannot be done."""
    from results.store import Study
    from trainers.data import load

    for name, least in (("seeds", 1), ("trials", 0), ("gpus_per_trial", 0), ("cpus_per_trial", 1)):
        if (value := getattr(args, name)) is not None and value < least:
            raise ValueError(f"--{name.replace('_', '-')} {value:g}, expected {least} or more")
    recipe = RECIPES[args.recipe] if args.epochs is None else RECIPES[args.recipe].cut(args.epochs)
    if not (source := args.data or recipe.data):
        raise ValueError(f"recipe {recipe.name!r} needs --data: a folder of images, of Parquet, or torch/<name>:<root>")
    space = SPACES[args.space].on(recipe.backbone)
    study = Study(args.study or (space.name if recipe.name == "digits" else f"{space.name}-{recipe.name}"), args.results)
    candidates, problems = space.published_candidates(), space.problems(recipe.img_size)
    if blocked := [problems[candidate] for candidate in candidates if candidate in problems]:
        raise ValueError(blocked[0])
    candidates += space.sample(args.trials, recipe.img_size)
    if not args.data and source == "digits":
        print("data: scikit-learn's digits, which are embedded; the paper's images: --recipe cifar10 --data DIR", flush=True)
    return Plan(space, recipe, load(source, recipe.img_size), candidates, args.seeds, study)


def print_list(plan: Plan) -> None:
    """Every candidate of the space with its cost, which of them this command would train, and the counts."""
    from trainers.cost import count_all

    space, size = plan.space, plan.recipe.img_size
    problems, published = space.problems(size), set(space.published_candidates())
    buildable = [candidate for candidate in space if candidate not in problems]
    for candidate, (params, flops) in count_all(buildable, size, plan.data.channels, len(plan.data.classes)).items():
        role = "published" if candidate in published else "sampled" if candidate in plan.candidates else ""
        print(f"{candidate!s:50} {params / 1e6:8.3f} M params {flops / 1e9:9.4f} GFLOPs  {role}".rstrip())
    for reason in problems.values():
        print(f"not built: {reason}")
    trials = len(plan.candidates) * plan.seeds
    print(
        f"space {space.name!r}: {len(space)} candidates, {len(published)} published, {len(problems)} not buildable at "
        f"{size} px\nthis command: {len(plan.candidates)} candidates x {plan.seeds} seeds = {trials} trials of at most "
        f"{plan.recipe.budget} epochs, rungs at {', '.join(map(str, plan.recipe.rungs)) or 'no epoch'}; nothing was launched"
    )


def missing(plan: Plan) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """The trials asked for, as the study knows them, and those of them that still need training."""
    from results.records import FINISHED

    known = {record.key: record for record in plan.study.records("trials")}
    asked = [known.get(record.key, record) for record in plan.trials()]
    pending = [
        replace(record, status="running", error=None, commit=_commit()) for record in asked if record.status not in FINISHED
    ]
    return asked, pending


def run(plan: Plan, asked: list[TrialRecord], pending: list[TrialRecord], cluster: Cluster, stop_published: bool) -> int:
    """Train what is pending, measure costs, write the report. 0 only if every trial asked for has its rows."""
    from results.progress import Progress
    from results.recorder import Recorder
    from results.report import write_report

    print(f"study {plan.study.folder}: {len(asked)} trials, {len(pending)} to train on {cluster.describe()}", flush=True)
    received = 0
    if pending:
        with Progress(asked) as progress:
            received = cluster.train(plan, Recorder(plan.study, pending, progress), stop_published)
    if not received:
        cluster.measure(plan)
    markdown, files = write_report(plan.study)
    print(f"\n{markdown}")
    print("\n".join(f"wrote {file}" for file in files))
    finished = set(plan.study.finished()["key"])
    lacking = [record for record in asked if record.key not in finished]
    for record in lacking:
        print(f"no result yet: {record.candidate} seed {record.seed}", file=sys.stderr)
    if lacking:
        print("run the same command again to go on", file=sys.stderr)
    return 128 + received if received else int(bool(lacking))


class Cluster:
    """Ray, started here or joined at an address, and what a trial gets of it. A context manager."""

    def __init__(self, args: argparse.Namespace) -> None:
        os.environ |= RAY_SETTINGS
        if args.address:
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        import ray

        self.ray = ray
        local = {} if args.address else {"include_dashboard": args.dashboard, "dashboard_host": "127.0.0.1"}
        context = ray.init(args.address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **local)
        try:
            self.resources = self._per_trial(args.cpus_per_trial, args.gpus_per_trial)
        except ValueError:
            ray.shutdown()
            raise
        if args.dashboard:
            print(f"dashboard: http://{context.dashboard_url} (it asks for a token: `ray get-auth-token` prints it)")

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.ray.shutdown()

    def describe(self) -> str:
        """The whole machine or cluster in words, and a trial's share."""
        total = self.ray.cluster_resources()
        share = f"{self.resources['cpu']:g} CPUs and {self.resources['gpu']:g} GPUs a trial"
        return f"{total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs, {share}"

    def _per_trial(self, cpus: int | None, gpus: float | None) -> dict[str, float]:
        """CPUs and GPUs of one trial; ValueError if no node has as many."""
        total = self.ray.cluster_resources()
        cards = total.get("GPU", 0)
        gpus = float(cards > 0) if gpus is None else gpus
        cpus = cpus or max(1, int(total["CPU"] * gpus / cards) if cards else 1)
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
            sizes = ", ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
            raise ValueError(f"a trial wants {cpus} CPUs and {gpus:g} GPUs, the nodes have {sizes}")
        return {"cpu": cpus, "gpu": gpus}

    def train(self, plan: Plan, recorder: Recorder, stop_published: bool) -> int:
        """Run the recorder's trials under Tune. Returns the signal that interrupted them, or 0."""
        from ray import tune

        from trainers.trial import Trial

        trials = list(recorder.records.values())
        rungs = _rungs(plan, frozenset() if stop_published else {trial.key for trial in trials if trial.published})
        trainable = tune.with_parameters(
            _with_base(Trial, tune.Trainable),
            data=plan.data,
            recipe=plan.recipe,
            checkpoints=plan.study.folder.absolute() / "checkpoints",
            threads=self.resources["cpu"],
        )
        scratch = plan.study.folder.absolute() / "ray"  # Tune's own files: never read, gone at the end
        shutil.rmtree(scratch, ignore_errors=True)
        tuner = tune.Tuner(
            tune.with_resources(trainable, self.resources),
            param_space={"trial": tune.grid_search([{n: getattr(t, n) for n in ("key", "candidate", "seed")} for t in trials])},
            tune_config=tune.TuneConfig(scheduler=rungs, trial_dirname_creator=lambda trial: trial.trial_id),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(scratch),
                verbose=0,
                callbacks=[_with_base(Report, tune.Callback)(recorder)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        with Interrupts() as interrupts:
            tuner.fit()
        shutil.rmtree(scratch, ignore_errors=True)
        return interrupts.received

    def measure(self, plan: Plan) -> None:
        """Cost of each candidate, one at a time while nothing else runs, unless it is known for this device."""
        from results.records import CostRecord
        from trainers.cost import device_here, measure

        options = {"num_cpus": self.resources["cpu"], "num_gpus": self.resources["gpu"]}
        threads, size = self.resources["cpu"], plan.recipe.img_size
        device = self.ray.get(self.ray.remote(**options)(device_here).remote(threads))
        known = set(plan.study.costs().query("device == @device")["candidate"])
        shape = (plan.data.channels, len(plan.data.classes))
        for candidate in (candidate for candidate in plan.candidates if str(candidate) not in known):
            cost = self.ray.get(self.ray.remote(**options)(measure).remote(candidate, plan.recipe, *shape, threads))
            key = f"{candidate}--{size}px--{device.lower().replace(' ', '-')}"
            plan.study.write("costs", key, [CostRecord(key=key, candidate=str(candidate), img_size=size, **asdict(cost))])


class Report:
    """Hands what Tune says to the recorder. Mixed with tune.Callback."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __getstate__(self) -> dict:
        return {}  # Tune pickles its callbacks for Tuner.restore, which is not used here

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.recorder.started(trial.config["trial"]["key"])

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        self.recorder.reported(trial.config["trial"]["key"], result)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.recorder.ended(trial.config["trial"]["key"], trial.last_result)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        file = trial.error_file
        self.recorder.failed(trial.config["trial"]["key"], Path(file).read_text() if file else "its process died")


class Interrupts:
    """Passes Ctrl-C and SIGTERM on to Tune, which then stops its trials, and remembers which came."""

    received = 0

    def __enter__(self) -> Interrupts:
        os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
        self._before = {number: signal.signal(number, self._forward) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _forward(self, number: int, frame: object) -> None:
        if self.received:
            os._exit(128 + number)
        self.received = number
        signal.raise_signal(signal.SIGUSR1)


def _rungs(plan: Plan, spared: Set[str]) -> Any:
    from ray.tune.schedulers import ASHAScheduler

    from schedulers.rungs import Rungs

    rungs = _with_base(Rungs, ASHAScheduler)(
        time_attr="epoch",
        metric="top1",
        mode="max",
        max_t=plan.recipe.budget,
        grace_period=min(plan.recipe.first_rung, plan.recipe.budget),
        reduction_factor=plan.recipe.rung_factor,
    )
    rungs.spared = frozenset(spared)
    rungs.refill(plan.study.records("epochs"))
    return rungs


def _with_base(ours: type, base: type) -> type:
    return type(ours.__name__, (ours, base), {})


def _commit() -> str:
    """The commit of this code, with + if it has local changes; empty outside a repository."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
