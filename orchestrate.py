"""Which token mixer belongs in which stage? `python orchestrate.py --space placement` trains the placements of Table 5
on scikit-learn's digits, stops weak ones early, and leaves every row in Parquet. Run it again to do what is missing."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from orchestrator.plan import StudyPlan, make_plan, pending_trials, unmeasured_candidates
from schedulers import RULE_NAMES, SAMPLER_NAMES
from searchspace.paper_spaces import SPACES
from storage.folder import DISK_ERRORS
from trainers.recipes import RECIPES

GO_ON = "run the same command again to go on"

# --help and a wrong argument should not wait for Ray and torch, so the modules that need them are imported on use.
if TYPE_CHECKING:
    from orchestrator.ray_trials import Cluster
    from orchestrator.trial_queue import TrialQueue
    from results.records import TrialRecord


def main(argv: list[str] | None = None) -> int:
    """0: every trial that the budget allows has its rows; 1: some have not; 2: wrong input; 3: a disk is full or fails;
    4: the study is in use.

    130 and 143: interrupted by Ctrl-C and SIGTERM.
    """
    args = parser().parse_args(argv)
    from storage.owner import StudyBusyError

    with ExitStack() as stack:
        try:
            plan = make_plan(args)
            if args.list:
                from orchestrator.preflight import print_list

                print_list(plan, args.cpus_per_trial, args.gpus_per_trial)
                return 0
            stack.enter_context(plan.study.owned())
            plan.study.begin(plan.settings())
            if args.reuse:
                from results.reuse import import_trials

                print(f"{import_trials(plan.study, plan.own)} trials taken over from other studies")
            agenda = make_trial_queue(plan)
            work = agenda.waiting()
            cluster = stack.enter_context(open_cluster(args)) if work or unmeasured_candidates(plan) else None
            asked, pending = pending_trials(plan)
            print(f"study {plan.study.folder}: {len(asked)} trials, {len(pending)} to train", end="")
            print(f"; {cluster}" if cluster else "", flush=True)
            if cluster and work:
                from orchestrator.preflight import print_preflight

                print_preflight(plan, asked, pending, cluster)
        except StudyBusyError as error:
            print(f"orchestrate.py: {error}", file=sys.stderr)
            return 4
        except (ValueError, OSError) as error:
            refuse(error)
            return 3 if getattr(error, "errno", None) in DISK_ERRORS else 2
        return run(agenda, cluster, len(asked))


def refuse(error: Exception) -> int:
    """Say in one line what is wrong; the exit code for it."""
    print(f"orchestrate.py: error: {(str(error) or type(error).__name__).splitlines()[0]}", file=sys.stderr)
    return 2


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="orchestrate.py", description=__doc__, usage=argparse.SUPPRESS)
    add = arguments.add_argument
    names = ", ".join(SPACES)
    add("--space", required=True, metavar="NAME", help=f"what is searched: {names}, or a Python file of your own")
    add("--recipe", choices=RECIPES, default="digits", help="how it is trained (%(default)s)")
    add("--data", help="folder of class folders, of Parquet files, or torch/<name>:<root> to download to")
    add("--init", metavar="WEIGHTS", help="begin with timm's (pretrained), or with those of a .safetensors file")
    add("--study", help="name of the study (the space, and the recipe unless it is digits)")
    where = "folder of the studies, or a URI such as s3://bucket/prefix (%(default)s)"
    add("--results", "--storage", default="results/runs", metavar="DIR", help=where)
    add("--seeds", type=int, default=1, metavar="K", help="seeds per candidate (%(default)s)")
    add("--trials", type=int, default=0, metavar="N", help="candidates beyond the published (%(default)s)")
    add("--sampler", choices=SAMPLER_NAMES, default="gp", help="who proposes them (%(default)s)")
    add("--objective", default="top1", metavar="WHAT", help="top1, or a front: top1,flops or top1,params")
    add("--stopping", choices=RULE_NAMES, default="asha", help="which trials rungs promote (%(default)s)")
    add("--race", type=float, metavar="P", help="find the best candidate at this confidence, such as 0.95")
    add("--budget", metavar="AMOUNT", help="end the search after, for example, 12h, 300epochs or 40trials")
    add("--reuse", action="store_true", help="take over what other studies have trained alike")
    add("--epochs", type=int, metavar="N", help="end every trial after N epochs of the recipe's schedule")
    add("--stop-published", action="store_true", help="let rungs stop the published candidates too")
    add("--gpus-per-trial", type=float, metavar="G", help="may be a fraction (1 if there are GPUs)")
    add("--cpus-per-trial", type=int, metavar="C", help="also its threads (1, or a GPU's share)")
    add("--hang-after", type=float, metavar="MINUTES", help="try a trial once more that gave no epoch for so long")
    add("--address", help="of a running Ray cluster; by default one is started here")
    add("--dashboard", action="store_true", help="start Ray's dashboard on loopback and print its address")
    add("--list", action="store_true", help="print candidates, counts and costs, and launch nothing")
    return arguments


def open_cluster(args: argparse.Namespace) -> Cluster:
    """Ray as the command line wants it; ValueError if no node can hold a trial."""
    if args.address:
        prepare_joining()
    from orchestrator.ray_trials import Cluster

    cluster = Cluster(args.address, args.cpus_per_trial, args.gpus_per_trial, args.dashboard, args.hang_after)
    if args.dashboard:
        print(f"dashboard: http://{cluster.dashboard_url} (it asks for a token: `ray get-auth-token` prints it)")
    return cluster


def prepare_joining() -> None:
    """What Ray reads from the environment when it is imported, to join a cluster with a token, or to give up soon."""
    named, kept = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys(), os.path.expanduser("~/.ray/auth_token")
    if named or os.path.exists(kept):
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # a cluster that asks for none takes it too
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # a wrong token
    os.environ.setdefault("RAY_py_gcs_connect_timeout_s", "5")  # a server that is not Ray's


def make_trial_queue(plan: StudyPlan) -> TrialQueue:
    """What is to be trained, given what the study holds."""
    from orchestrator.plan import known
    from orchestrator.trial_queue import TrialQueue, make_search
    from results.recorder import Recorder

    return TrialQueue(plan, make_search(plan), Recorder(plan.study, known(plan)))


def run(agenda: TrialQueue, cluster: Cluster | None, total: int) -> int:
    """Train what is on the agenda, measure costs, write the report. 0 only if every trial begun has its rows."""
    from orchestrator.preflight import measure_costs, space_needed
    from orchestrator.trial_queue import TrialQueue
    from results.progress import Progress
    from results.recorder import Recorder
    from results.report.updater import ReportUpdater
    from results.report.write_report import write_report

    plan, recorder = agenda.plan, agenda.recorder
    received = 0
    if cluster and agenda.waiting():
        try:
            with Progress(recorder.records.values(), total) as progress, ReportUpdater(plan.study) as updater:
                recorder = Recorder(plan.study, recorder.records.values(), progress, updater)
                agenda = TrialQueue(plan, agenda.search, recorder)
                received = cluster.train(agenda)
        except OSError as error:
            refuse(error)
            print("nothing that was said to be done is lost", end="", file=sys.stderr)
            print(f"; {space_needed(plan, cluster)}" if plan.study.folder.path else "", file=sys.stderr)
            print(GO_ON, file=sys.stderr)
            return 3
    if cluster and not received:
        measure_costs(plan, cluster, list(map(str, unmeasured_candidates(plan))))
    try:
        text = write_report(plan.study)
    except (ValueError, OSError) as error:
        return refuse(error)
    print(f"\n{text}")
    if outcome := agenda.outcome():
        print(outcome)
    lacking = recorder.unfinished()
    for record in lacking:
        print(f"no result yet: {record.candidate} seed {record.seed}{_why(plan, record)}", file=sys.stderr)
    if lacking or received:
        print(GO_ON, file=sys.stderr)
    return 128 + received if received else int(bool(lacking))


def _why(plan: StudyPlan, record: TrialRecord) -> str:
    """Of a failed trial, its error and where the traceback is."""
    return f": {record.error} ({plan.study.folder / 'errors' / f'{record.key}.txt'})" if record.error else ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # before or after the trials, which handle it themselves
