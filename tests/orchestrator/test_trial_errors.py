import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, OutOfMemoryError, RayTaskError
from ray.tune.experiment import Trial

from orchestrator.trial_errors import TrialErrors, failure_of
from trainers.trial_task import Failure

TASK_ERROR = RayTaskError("train", "in step\nKeyError: 'x'", KeyError("x"), "T", 1, "10.0.0.1")
IMPORT_ERROR = RayTaskError(
    "__init__", "Traceback:\nModuleNotFoundError: No module named 'x'", ImportError(), "T", 1, "10.0.0.1"
)


@pytest.mark.parametrize(
    ("error", "kind", "last_line"),
    [
        (TASK_ERROR, "error", "KeyError: 'x'"),
        (ActorDiedError(IMPORT_ERROR), "error", "ModuleNotFoundError: No module named 'x'"),
        (ActorDiedError(), "process died", "its process died"),
        (OutOfMemoryError("killed"), "process died", "its process was killed because memory ran out"),
        (ActorUnavailableError("Socket closed", None), "process died", "its process died"),
    ],
)
def test_the_type_of_an_error_tells_a_raised_one_from_a_dead_process(error, kind, last_line):
    failure = failure_of(error)
    assert failure.kind == kind
    assert failure.message.splitlines()[-1] == last_line


def test_a_process_that_never_began_counts_as_dead():
    assert failure_of(None) == Failure("process died", "its process could not be started, perhaps for lack of memory")


@pytest.fixture
def trial(monkeypatch):
    """A trial of Tune's, without its files, that notes what its own handler of errors is told."""
    handled = []
    monkeypatch.setattr(Trial, "handle_error", lambda trial, error=None: handled.append(error))
    trial = Trial("trainable", stub=True)
    trial.handled = handled
    return trial


def test_an_error_is_remembered_once_and_handled_as_before(trial):
    error = ActorDiedError()
    with TrialErrors() as errors:
        trial.handle_error(error)
        assert errors.pop(trial.trial_id) is error
        assert errors.pop(trial.trial_id) is None
    assert trial.handled == [error]


def test_afterwards_tune_is_as_it_was(trial):
    before = Trial.handle_error
    with TrialErrors():
        assert Trial.handle_error is not before
    assert Trial.handle_error is before
