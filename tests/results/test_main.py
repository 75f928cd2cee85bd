"""The commands `python -m results STUDY` and `python -m results verify STUDY`."""

import pytest

from results.__main__ import main
from tests.support.studies import trial_record


def test_the_command_prints_the_table(study, capsys):
    assert main([study.name, "--results", str(study.folder.parent)]) == 0
    assert "P(better)" in capsys.readouterr().out


@pytest.mark.parametrize("margin", ["0", "-1", "nan", "inf"])
def test_a_margin_is_more_than_nothing(study, capsys, margin):
    assert main([study.name, "--results", str(study.folder.parent), "--margin", margin]) == 2
    assert "expected more than 0" in capsys.readouterr().err


def test_the_command_names_a_study_that_is_not_there(tmp_path, capsys):
    assert main(["nothing", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"results: error: no study 'nothing' in {tmp_path}\n"


def test_published_rows_are_reported_from_where_they_were_copied_to(study, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([study.name, "--results", str(study.folder.parent), "--publish"]) == 0
    assert "wrote results/recorded/s/report/report.html" in capsys.readouterr().out


def verify(study):
    return main(["verify", study.name, "--results", str(study.folder.parent)])


def test_verify_exits_with_0_for_a_sound_study(study, capsys):
    assert verify(study) == 0
    assert capsys.readouterr().out == "1 files are sound, 0 were put aside\n"


def test_verify_exits_with_1_for_a_damaged_study(study, capsys):
    (study.folder / "trials").write("k.parquet", b"x")
    assert verify(study) == 1
    assert "put aside in quarantine/" in capsys.readouterr().out


def test_verify_exits_with_1_for_rows_that_disagree(study):
    study.write("trials", trial_record().key, [trial_record(status="done")])
    assert verify(study) == 1


def test_verify_exits_with_4_while_the_study_runs(study, capsys):
    with study.owned():
        assert verify(study) == 4
    assert "study 's' is being run by process" in capsys.readouterr().err


def test_verify_exits_with_2_for_a_study_that_is_not_there(study, capsys):
    assert main(["verify", "none", "--results", str(study.folder.parent)]) == 2
    assert "no study 'none'" in capsys.readouterr().err
