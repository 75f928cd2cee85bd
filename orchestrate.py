"""The command line of the placement search: `python orchestrate.py --space placement`. See --help for its options.

It reads arguments, calls orchestrator/ and returns exit codes. All heavy modules are imported on use, so that --help
and a wrong option answer at once.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from orchestrator.command_line import make_parser, parse_own_arguments

if TYPE_CHECKING:
    from orchestrator.plan import StudyPlan
    from orchestrator.preflight import TrainingNeeds
    from orchestrator.ray_cluster import Cluster
    from orchestrator.study_run import StudyRun

CONTINUE_HINT = "run the same command again to continue"


def main(argv: list[str] | None = None, *, may_start_again: bool = False) -> int:
    """Run one command line and return its exit code. If it `may_start_again`, it does so when Ray itself dies.

    0: every trial that the budget allows has its rows. 1: some trials have not. 2: wrong input. 3: a disk is full or
    fails. 4: another process runs the study. 130 and 143: interrupted by Ctrl-C or SIGTERM.
    """
    args = make_parser().parse_args(argv)
    from orchestrator.exit_codes import exit_code
    from orchestrator.make_plan import make_plan

    with ExitStack() as stack:
        try:
            plan = make_plan(args)
            if args.list:
                from orchestrator.listing import print_listing

                print_listing(plan, args.cpus_per_trial, args.gpus_per_trial)
                return 0
            from orchestrator.study_run import StudyRun

            stack.enter_context(plan.study.owned())
            study_run = StudyRun.prepare(plan, reuse=args.reuse)
            cluster = stack.enter_context(open_cluster(args, plan)) if study_run.needs_cluster() else None
            if cluster and may_start_again:
                from orchestrator.ray_watch import watch_ray

                stack.enter_context(watch_ray(cluster.session))
            print(study_run.describe(cluster), flush=True)
            needs = None
            if cluster and study_run.queue.has_work():
                needs = study_run.preflight(cluster)
        except Exception as error:
            code = exit_code(error)
            print_error(error)
            return code
        stall_seconds = args.hang_after * 60 if args.hang_after else None
        return execute(study_run, cluster, needs, stall_seconds=stall_seconds)


def open_cluster(args: argparse.Namespace, plan: StudyPlan) -> Cluster:
    """The Ray cluster that the command line asks for, whose GPUs have been checked.

    ValueError if it cannot be joined, if none of its GPUs can be used, or if no node can hold a trial.
    """
    from orchestrator import ray_environment
    from orchestrator.machine_checks import check_gpus_here, check_gpus_of_nodes

    if not args.address:
        check_gpus_here(plan.recipe, args.gpus_per_trial)
    cluster = ray_environment.open_cluster(
        args.address,
        cpus=args.cpus_per_trial,
        gpus=args.gpus_per_trial,
        dashboard=args.dashboard,
        small_images=not plan.recipe.streamed,
    )
    if args.address:
        check_gpus_of_nodes(cluster, plan.recipe)
    if args.dashboard:
        print(f"dashboard: http://{cluster.dashboard_url} (it asks for a token: {cluster.token_place})")
    return cluster


def execute(
    study_run: StudyRun,
    cluster: Cluster | None,
    needs: TrainingNeeds | None = None,
    *,
    stall_seconds: float | None = None,
) -> int:
    """Train and report. Returns the exit code."""
    from orchestrator.exit_codes import CodeChangedError

    signal_number = 0
    if cluster and study_run.queue.has_work():
        try:
            signal_number = study_run.train(cluster, needs, stall_seconds=stall_seconds)
        except OSError as error:
            print_error(error)
            print(f"completed epochs are saved{study_run.describe_remaining_disk(cluster)}", file=sys.stderr)
            print(CONTINUE_HINT, file=sys.stderr)
            return 3
        except CodeChangedError as error:
            print_error(error)
            return 2
    return report(study_run, cluster, signal_number)


def report(study_run: StudyRun, cluster: Cluster | None, signal_number: int) -> int:
    """Measure the costs that are missing, write the report, print it and the outcome. Returns the exit code."""
    from orchestrator.exit_codes import exit_code

    try:
        if cluster and not signal_number:
            study_run.measure_remaining_costs(cluster)
        print(f"\n{study_run.write_report()}")
    except (ValueError, OSError) as error:
        print_error(error)
        print(f"all rows are saved; {CONTINUE_HINT}", file=sys.stderr)
        return exit_code(error)
    outcome = study_run.queue.outcome()
    if outcome:
        print(outcome)
    incomplete = study_run.print_unfinished()
    if incomplete or signal_number:
        print(CONTINUE_HINT, file=sys.stderr)
    return 128 + signal_number if signal_number else int(incomplete)


def print_error(error: Exception) -> None:
    """Print what is wrong in one line."""
    from orchestrator.exit_codes import describe

    print(describe(error), file=sys.stderr)


def run() -> int:
    """Run the command line of this process, from a copy of the code unless it only lists. Returns the exit code."""
    from orchestrator.command_start import remember_start

    remember_start()
    args = parse_own_arguments()
    if not args.list:
        from orchestrator.code_snapshot import run_from_snapshot
        from orchestrator.exit_codes import exit_code

        try:
            run_from_snapshot()
        except OSError as error:
            print_error(error)
            return exit_code(error)
    return main(may_start_again=True)


if __name__ == "__main__":
    try:
        sys.exit(run())
    except KeyboardInterrupt:
        sys.exit(130)  # before or after training, which handles the signal itself
