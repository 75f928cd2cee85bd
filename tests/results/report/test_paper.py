import pytest

from results.report import paper
from searchspace.paper_spaces import JOINT


def test_where_the_paper_has_no_number_it_has_words():
    words = paper.published("Table 4").set_index("row")["paper_says"]
    assert words["no scale"] == "changes little"


@pytest.mark.parametrize("name", ["Table 4", "Table 5"])
def test_the_papers_numbers_belong_to_published_rows(name):
    published = [row for row in JOINT.on("caformer_micro").published_rows() if row.table == name]
    rows = {(row.row, row.candidate.placement) for row in published}
    assert set(paper.published(name)[["row", "placement"]].itertuples(index=False, name=None)) <= rows
