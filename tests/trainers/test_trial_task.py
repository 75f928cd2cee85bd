import math
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest

from searchspace.candidate import Candidate
from storage.folder import Folder
from tests.support.reports import make_epoch, make_report
from trainers.resources import Resources
from trainers.trial_task import TrainingSetup, TrialTask

CANDIDATE = Candidate.parse("caformer_micro-dwconv-cska-ska-attn")
TASK = TrialTask(key="k", candidate=CANDIDATE, seed=3, until=2)


def setup_in(checkpoints, recipe, data):
    return TrainingSetup(recipe=recipe, data=data, resources=Resources(), checkpoints=checkpoints)


def test_a_task_shows_its_candidate_and_seed():
    assert str(TASK) == "caformer_micro-dwconv-cska-ska-attn seed 3"


def test_a_task_survives_the_way_to_another_process():
    assert pickle.loads(pickle.dumps(TASK)) == TASK  # noqa: S301


def test_each_trial_has_its_own_folder_of_checkpoints(shapes, quick, tmp_path):
    setup = setup_in(Folder(tmp_path), quick, shapes)
    assert setup.folder_of(TASK) == Folder(tmp_path / "k")
    assert setup.folder_of(replace(TASK, key="")) == Folder(tmp_path)
    assert replace(setup, checkpoints=None).folder_of(TASK) is None


def test_a_setup_without_the_weights_that_its_recipe_names_is_refused(shapes, quick):
    with pytest.raises(AssertionError):
        setup_in(None, replace(quick, init="pretrained"), shapes)


def test_an_epoch_diverges_with_either_loss():
    assert not make_epoch(1, 90.0).diverged
    assert make_epoch(1, 90.0, train_loss=math.inf).diverged
    assert make_epoch(1, 90.0, val_loss=math.nan).diverged


def test_a_report_sums_up_its_history():
    report = make_report([80.0, 90.0], epoch_seconds=2.0)
    assert (report.epoch, report.top1, report.seconds, report.diverged) == (2, 90.0, 4.0, False)


def test_rungs_see_a_diverged_trial_as_the_worst():
    assert make_report([], history=(make_epoch(1, math.nan, val_loss=math.nan),)).top1 == 0.0


def test_tasks_load_no_torch():
    code = "import sys, trainers.trial_task; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
