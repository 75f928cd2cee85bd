from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from results.records import EpochRecord, TrialRecord, schema
from results.store import Study
from tests.support.studies import KEY, trial_record

EPOCH = EpochRecord(
    key=KEY,
    candidate=KEY.partition("--")[0],
    seed=0,
    epoch=1,
    train_loss=None,
    val_loss=0.5,
    top1=90.0,
    lr=1e-3,
    seconds=1.5,
    finished_at=datetime(2026, 1, 2, 3, 4, 5, 678000, UTC),
)


def test_rows_come_back_as_they_were_written(study):
    record = trial_record(top1=99.5, error="é")
    study.write("trials", record.key, [record])
    study.write("epochs", KEY, [EPOCH])
    assert study.records(TrialRecord) == [record]
    assert study.records(EpochRecord) == [EPOCH]


def test_pandas_reads_the_folder_of_a_table(study):
    for seed in range(3):
        record = trial_record(seed=seed, top1=90.0 + seed)
        study.write("trials", record.key, [record])
    frame = pd.read_parquet(study.folder.path / "trials")
    assert frame["top1"].tolist() == [90.0, 91.0, 92.0]
    assert frame["seed"].dtype == "int64"


def test_writing_a_key_again_replaces_its_rows(study):
    for status in ("running", "done"):
        study.write("trials", KEY, [trial_record(status=status)])
    assert study.trials()["status"].tolist() == ["done"]


def test_an_empty_table_has_its_columns(study):
    assert study.trials().columns.tolist() == schema(TrialRecord).names
    assert study.costs().empty


def test_a_study_that_was_never_begun_reads_as_empty(tmp_path):
    assert Study("new", tmp_path).trials().empty


def test_finished_leaves_out_what_needs_training(study):
    for number, status in enumerate(("running", "paused", "done", "stopped", "diverged", "failed")):
        record = trial_record(seed=number, status=status)
        study.write("trials", record.key, [record])
    assert set(study.ended()["status"]) == {"done", "paused", "stopped", "diverged"}


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 101, "a b"])
def test_a_name_that_is_not_one_folder_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="bad study name"):
        Study(name, tmp_path)


def test_other_settings_are_refused_with_the_difference(study):
    study.write("trials", KEY, [trial_record()])
    other = replace(study.settings(), recipe={**study.settings().recipe, "img_size": 64})
    with pytest.raises(ValueError, match=r"begun with recipe\.img_size 32, now 64; choose another name with --study"):
        study.begin(other)


def test_the_same_settings_are_taken_again(study):
    study.begin(study.settings())
    assert study.settings().backbone == "caformer_micro"


def test_a_half_written_part_is_no_row(study):
    study.write("trials", KEY, [trial_record()])
    (study.folder.path / "trials" / ".other.parquet.part").write_bytes(b"half")
    assert len(study.trials()) == len(pd.read_parquet(study.folder.path / "trials")) == 1


def test_a_recorded_study_has_the_same_rows_in_one_file_a_table(study, tmp_path):
    for seed in (1, 0):
        record = trial_record(seed=seed, status="done")
        study.write("trials", record.key, [record])
    copy = study.publish(tmp_path / "recorded")
    assert copy.trials().equals(study.trials())
    assert copy.settings() == study.settings()
    assert [file.name for file in (copy.folder.path / "trials").iterdir()] == ["all.parquet"]


def test_another_study_of_that_name_is_not_recorded_over(study, tmp_path):
    record = trial_record(status="done")
    study.write("trials", record.key, [record])
    study.publish(tmp_path / "r")
    study.folder.write("study.json", replace(study.settings(), budget=9).to_json())
    with pytest.raises(ValueError, match="budget 4, now 9"):
        study.publish(tmp_path / "r")


def test_a_running_study_is_not_recorded(study, tmp_path):
    study.write("trials", KEY, [trial_record()])
    with pytest.raises(ValueError, match="1 trials of study 's' are not finished"):
        study.publish(tmp_path / "r")


def test_a_study_without_trials_may_be_begun_otherwise(study):
    study.begin(replace(study.settings(), budget=9))
    assert study.settings().budget == 9
    study.write("trials", KEY, [trial_record()])
    with pytest.raises(ValueError, match="budget 9, now 4"):
        study.begin(replace(study.settings(), budget=4))


def test_a_recorded_study_is_not_gone_on_with(study, tmp_path):
    with (
        pytest.raises(ValueError, match="is a recorded study, which is only read"),
        study.publish(tmp_path / "r").owned(),
    ):
        pass


def test_a_lost_study_json_is_written_again_if_every_row_agrees(study):
    settings = study.settings()
    study.write("trials", KEY, [trial_record()])
    study.folder.remove("study.json")
    study.begin(settings)
    assert study.settings() == settings


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"space": "t"}, "space 's' and 't'"),
        ({"backbone": "b"}, "backbone 'caformer_micro' and 'b'"),
        ({"data_fingerprint": "1"}, "data_fingerprint '0' and '1'"),
        ({"budget": 9}, "budget 4 and 9"),
        ({"code": "1"}, "code None and '1'"),
        ({"recipe": {"name": "r", "img_size": 32, "lr": 0.1}}, "recipe_fingerprint '33876a9e' and "),
        ({"recipe": {"name": "q", "img_size": 32}}, "recipe 'r' and 'q'"),
    ],
)
def test_without_a_study_json_rows_of_another_command_are_refused(study, changes, says):
    settings = study.settings()
    study.write("trials", KEY, [trial_record()])
    study.folder.remove("study.json")
    with pytest.raises(ValueError, match=f"has lost its study.json, and its rows are not of this .*{says}"):
        study.begin(replace(settings, **changes))
    assert not study.folder.exists("study.json")


def test_a_lost_study_json_is_named(study):
    study.write("trials", KEY, [trial_record()])
    study.folder.remove("study.json")
    with pytest.raises(FileNotFoundError, match=r"has lost its study\.json: run its command again"):
        study.settings()


def test_a_row_of_another_study_is_refused_and_named_with_the_way_out(study):
    study.write("trials", KEY, [trial_record()])
    foreign = trial_record(seed=1, code="1")
    study.write("trials", foreign.key, [foreign])
    with pytest.raises(ValueError, match=r"1 trials of study 's' are not of its study.json.*results verify s "):
        study.check_rows(study.settings())
