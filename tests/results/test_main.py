"""The commands `python -m results STUDY` and `python -m results verify STUDY`."""

import pytest

from results.__main__ import main


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
