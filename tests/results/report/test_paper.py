import pytest

from results.report import paper
from searchspace.paper_spaces import JOINT


def test_where_the_paper_has_no_number_it_has_words():
    words = paper.published("Table 4").set_index("placement")["paper_says"]
    assert words["dwconv-cska.noscale-attn-attn"] == "changes little"


@pytest.mark.parametrize("name", ["Table 4", "Table 5"])
def test_the_papers_numbers_belong_to_published_rows(name):
    placements = {row.candidate.placement for row in JOINT.published_rows() if row.table == name}
    assert set(paper.published(name)["placement"]) <= placements
