"""Why the process of a trial ended, where the trial itself could not say so."""

from __future__ import annotations

from typing import Any

from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.experiment import Trial

from trainers.trial_task import Failure


class TrialErrors:
    """The exceptions with which Ray ended trials. A context manager.

    Tune hands the exception to `Trial.handle_error` alone, and not to its callbacks. So that method is replaced, for as
    long as Tune runs, by one that remembers the exception too.
    """

    def __init__(self) -> None:
        self._errors: dict[str, Exception | None] = {}

    def __enter__(self) -> TrialErrors:
        original = Trial.handle_error
        self._original = original

        def remember(trial: Trial, error: Any = None) -> None:
            self._errors[trial.trial_id] = error
            original(trial, error)

        Trial.handle_error = remember  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *error: object) -> None:
        Trial.handle_error = self._original  # type: ignore[method-assign]

    def pop(self, trial_id: str) -> Exception | None:
        """The exception of a trial, by Tune's id of it; None if there was none because its process never began."""
        return self._errors.pop(trial_id, None)


def failure_of(error: Exception | None) -> Failure:
    """An error in Python code while the trial was set up or trained is an "error"; all else is a dead process."""
    setup_failed = isinstance(error, RayActorError) and error.actor_init_failed
    if setup_failed or isinstance(error, RayTaskError):
        traceback = str(error).strip()
        return Failure("error", traceback.splitlines()[-1], traceback)
    if error is None:
        return Failure("process died", "its process could not be started, perhaps for lack of memory")
    if isinstance(error, OutOfMemoryError):
        return Failure("process died", "its process was killed because memory ran out", str(error))
    return Failure("process died", "its process died", str(error))
