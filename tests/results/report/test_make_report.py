import json
from io import BytesIO

import pandas as pd
import pytest

from results.__main__ import main
from results.report.make_report import make_report
from tests.support.studies import SETTINGS

BASE = "dwconv-dwconv-attn-attn"
OTHER = "ska-dwconv-attn-attn"


def test_what_the_paper_does_not_print_has_a_table_of_its_own(reported):
    searched = make_report(reported).files["searched.parquet"]
    table = pd.read_parquet(BytesIO(searched))
    assert table["placement"].tolist() == [BASE, OTHER]
    assert table["difference"].tolist()[1] == pytest.approx(-2.5)


def test_the_same_study_gives_the_same_report(reported):
    assert make_report(reported).files == make_report(reported).files


def test_a_study_of_an_older_version_asks_to_be_run_again(study, capsys):
    settings = json.loads(study.folder.read("study.json"))
    del settings["report"]
    study.folder.write("study.json", json.dumps(settings).encode())
    assert main([study.name, "--results", str(study.folder.parent)]) == 2
    assert "run its command again" in capsys.readouterr().err
    study.begin(SETTINGS)
    assert main([study.name, "--results", str(study.folder.parent)]) == 0
