"""What a plan asks for, without training anything."""

import re
from dataclasses import replace

import pytest

from results.settings import PublishedRow
from searchspace.candidate import Candidate
from tests.support.checkpoints import write_weights
from tests.support.paths import ROOT
from tests.support.plans import plan_for, write_space
from tests.support.studies import epoch_record, trial_record
from trainers.version import commit


@pytest.fixture
def plan(tmp_path):
    """A plan on digits whose study may be written."""
    plan = plan_for("--results", tmp_path)
    for table in ("trials", "epochs", "costs"):
        (plan.study.folder / table).make()
    return plan


def write_trial(plan, trial, rows):
    """Store a trial with so many epoch rows."""
    plan.study.write("trials", trial.key, [trial])
    epochs = [epoch_record(trial.key, number) for number in range(1, rows + 1)]
    plan.study.write("epochs", trial.key, epochs)


def test_every_candidate_is_requested_once_per_seed_the_published_first(tmp_path):
    trials = plan_for("--seeds", "2", "--trials", "3", "--results", tmp_path).requested_trials()
    assert [trial.seed for trial in trials] == [0] * 10 + [1] * 10
    assert [trial.published for trial in trials[:10]] == [True] * 7 + [False] * 3
    assert len({trial.key for trial in trials}) == 20


def test_a_key_names_candidate_recipe_data_and_seed():
    plan = plan_for()
    key = plan.trial(plan.candidates[0], seed=0).key
    assert key.startswith("caformer_micro-dwconv-dwconv-attn-attn--digits-")
    assert plan_for("--epochs", "2").trial(plan.candidates[0], seed=0).key != key
    assert plan_for("--ema", "0.99").trial(plan.candidates[0], seed=0).key != key
    assert plan.trial(plan.candidates[0], seed=1).key == key.replace("--seed0", "--seed1")


def test_the_same_images_under_another_name_are_the_same_data(plan):
    renamed = replace(plan, data=replace(plan.data, name="elsewhere"))
    with plan.study.owned():
        plan.study.begin(plan.settings())
        renamed.study.begin(renamed.settings())
    assert renamed.study.settings().data_name == "elsewhere"


def test_a_trial_is_known_in_the_order_in_which_it_began(plan):
    for number, candidate in enumerate(reversed(plan.candidates)):
        trial = replace(plan.trial(candidate, seed=0), number=number, status="paused", epoch=1)
        write_trial(plan, trial, rows=1)
    names = [trial.candidate for trial in plan.known_trials()]
    assert names == [str(candidate) for candidate in reversed(plan.candidates)]


@pytest.mark.parametrize(
    ("status", "rows", "known_as"),
    [("stopped", 1, "stopped"), ("paused", 1, "paused"), ("stopped", 0, "running"), ("failed", 1, "running")],
)
def test_a_trial_that_failed_or_lacks_rows_is_running_again(plan, status, rows, known_as):
    trial = replace(plan.trial(plan.candidates[0], seed=0), status=status, epoch=1)
    write_trial(plan, trial, rows)
    (known,) = plan.known_trials()
    assert (known.status, known.epoch) == (known_as, rows)


def test_trials_that_ended_with_all_rows_are_not_pending(plan):
    ended, damaged = (replace(trial, status="paused", epoch=1) for trial in plan.requested_trials()[:2])
    write_trial(plan, ended, rows=1)
    write_trial(plan, damaged, rows=0)
    assert [trial.key for trial in plan.pending_trials()] == [trial.key for trial in plan.requested_trials()[1:]]


def test_of_a_race_only_the_trials_that_began_are_requested(tmp_path):
    plan = plan_for("--race", "0.9", "--budget", "9trials", "--results", tmp_path)
    assert plan.requested_trials() == []


def test_candidates_without_a_measured_cost_are_found(plan):
    assert plan.unmeasured_candidates() == plan.candidates
    trained = replace(plan.trial(next(iter(plan.space)), seed=0), status="stopped", epoch=0)
    proposed = next(candidate for candidate in plan.space if candidate not in plan.candidates)
    write_trial(plan, replace(plan.trial(proposed, seed=0), status="stopped"), rows=0)
    write_trial(plan, trained, rows=0)
    assert plan.unmeasured_candidates() == [*plan.candidates, proposed]


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert commit.__wrapped__() == ""


def test_the_repository_knows_its_commit():
    inside = (ROOT / ".git").exists()
    assert bool(re.fullmatch(r"[0-9a-f]{12}\+?", commit())) == inside


def test_the_published_rows_travel_with_the_settings():
    rows = plan_for(space="heads").settings().rows
    assert len(rows) == 24
    assert rows[2] == PublishedRow(
        table="Figure 3",
        row="CSKA, head dim follows",
        heads=4,
        placement="dwconv-cska.h4-attn-attn",
        baseline="dwconv-cska-attn-attn",
    )


def test_the_labels_of_rows_may_change_within_a_study(plan):
    with plan.study.owned():
        plan.study.begin(replace(plan.settings(), rows=(), baseline="", rungs=()))
        plan.study.begin(plan.settings())
    assert len(plan.study.settings().rows) == 7


def test_the_search_options_may_change_within_a_study(plan, tmp_path):
    later = plan_for("--results", tmp_path, "--stopping", "none", "--trials", "2", "--sampler", "tpe")
    with plan.study.owned():
        plan.study.begin(plan.settings())
        write_trial(plan, plan.trial(plan.candidates[0], seed=0), rows=0)
        later.study.begin(later.settings())
    assert later.study.settings().search["sampler"] == "tpe"


def test_a_space_of_ones_own_is_known_by_its_text(tmp_path):
    own = plan_for(space=write_space(tmp_path))
    assert re.fullmatch("[0-9a-f]{8}", own.settings().space_file)
    assert plan_for().settings().space_file is None


@pytest.mark.parametrize("options", [["--stopping", "none"], ["--race", "0.9", "--budget", "9trials"]])
def test_without_a_rule_and_in_a_race_there_are_no_rungs(options):
    assert plan_for().rungs() == [4, 8]
    assert plan_for(*options).rungs() == []


def test_published_rows_are_judged_against_their_baseline_which_is_exempt():
    plan = plan_for()
    baseline, *rows = map(str, plan.candidates)
    assert plan.judged_rows() == dict.fromkeys(rows, baseline)
    assert plan.exempt_candidates() == {baseline}


@pytest.mark.parametrize("options", [["--keep-published"], ["--stopping", "none"]])
def test_no_row_is_judged_if_they_are_kept_or_never_pause(options):
    plan = plan_for(*options)
    assert plan.judged_rows() == {}
    assert plan.exempt_candidates() == {str(candidate) for candidate in plan.candidates}


def test_no_baseline_of_any_row_is_judged():
    joint = plan_for(space="joint")
    baselines = {str(row.baseline) for row in joint.space.published_rows()}
    assert len(baselines) == 3
    assert not baselines & joint.judged_rows().keys()
    assert set(joint.judged_rows().values()) == baselines


def test_rows_pause_only_where_nine_epochs_follow_the_warm_up():
    row = str(plan_for().candidates[1])
    assert plan_for().pauses(row) == []
    long = replace(plan_for(), recipe=replace(plan_for().recipe, epochs=27, first_rung=9))
    assert (long.rungs(), long.pauses(row)) == ([11], [11])
    assert long.pauses(str(long.candidates[0])) == []


def test_a_stopped_row_gets_no_further_seeds_and_is_resumed_if_rows_are_kept(plan):
    stopped = replace(plan.trial(plan.candidates[1], seed=0), status="stopped", epoch=1)
    write_trial(plan, stopped, rows=1)
    several = replace(plan, seeds=2)
    assert [trial.seed for trial in several.requested_trials() if trial.candidate == stopped.candidate] == [0]
    kept = replace(several, options=replace(plan.options, keep_published=True))
    assert [trial.status for trial in kept.known_trials()] == ["running"]
    assert [trial.seed for trial in kept.requested_trials() if trial.candidate == stopped.candidate] == [0, 1]


def test_the_comparisons_are_those_of_the_largest_table():
    assert plan_for().num_comparisons() == 6
    assert plan_for(space="joint").num_comparisons() == 20  # Figure 3: 22 candidates, two of which are baselines
    assert plan_for("--trials", "30").num_comparisons() == 30


def matching(plan, placement, seed=0):
    """The plan's trial that another study's trial can replace."""
    return plan.matching_trial(trial_record(placement, seed, study="other", published=False))


def test_a_trial_of_a_candidate_and_seed_of_the_plan_matches():
    one_seed = plan_for(space="heads")
    mine = matching(one_seed, "dwconv-cska-attn-attn")
    assert (mine.study, mine.published, mine.budget) == ("heads", True, 12)
    assert matching(one_seed, "dwconv-cska-attn-attn", seed=1) is None
    assert matching(plan_for("--seeds", "2", space="heads"), "dwconv-cska-attn-attn", seed=1).seed == 1


def test_a_trial_outside_of_the_space_matches_nothing():
    heads = plan_for(space="heads")
    assert matching(heads, "ska-ska-ska-ska") is None
    assert matching(heads, "dwconv-mine-attn-attn") is None


def test_of_what_may_be_proposed_only_the_first_seed_matches():
    placement = plan_for("--seeds", "2")
    assert Candidate.parse("caformer_micro-ska-ska-ska-ska") not in placement.candidates
    assert matching(placement, "ska-ska-ska-ska").published is False
    assert matching(placement, "ska-ska-ska-ska", seed=1) is None


def test_initial_weights_make_other_trials(tmp_path):
    cold = plan_for("--results", tmp_path)
    warm = plan_for("--results", tmp_path, "--init", write_weights(tmp_path))
    assert (cold.weights, cold.recipe.init) == (None, None)
    assert warm.recipe.init == str(warm.weights)
    assert warm.trial(warm.candidates[0], 0).key != cold.trial(cold.candidates[0], 0).key


def test_initial_weights_may_not_change_within_a_study(tmp_path):
    cold = plan_for("--results", tmp_path)
    warm = plan_for("--results", tmp_path, "--init", write_weights(tmp_path))
    with cold.study.owned():
        cold.study.begin(cold.settings())
        record = cold.trial(cold.candidates[0], 0)
        cold.study.write("trials", record.key, [record])
        with pytest.raises(ValueError, match=f"recipe.init None, now '{warm.recipe.init}'; choose another name"):
            warm.study.begin(warm.settings())
