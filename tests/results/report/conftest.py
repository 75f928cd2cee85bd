import pytest

from results.progress import Progress
from results.recorder import Recorder
from results.store import Study
from tests.support.studies import after_epochs, trial_record


@pytest.fixture
def reported(study: Study, quiet: Progress) -> Study:
    """A study with a finished trial at 91 %, and two seeds of a placement that the paper does not print."""
    searched = "ska-dwconv-attn-attn"
    for placement, seed, top1 in (("dwconv-dwconv-attn-attn", 0, 91.0), (searched, 0, 89.0), (searched, 1, 88.0)):
        record = trial_record(placement, seed)
        recorder = Recorder(study, [record], quiet)
        recorder.on_report(*after_epochs(record, 4, test_top1=top1))
        recorder.on_end(record.key, "done")
    return study
