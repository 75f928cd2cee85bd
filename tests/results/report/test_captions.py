from dataclasses import replace

import pandas as pd

from results.report import captions
from tests.support.studies import SETTINGS


def test_a_caption_says_how_the_numbers_were_obtained():
    caption = captions.table_caption("Table 5", SETTINGS, "a GPU")
    assert caption.startswith("Ours: caformer_micro on d at 32 px, recipe r, 4 epochs, mean ± standard deviation")
    assert "images/s: inference on a GPU. Paper: CAFormer-S18" in caption


def test_a_caption_says_whether_training_began_with_weights():
    warm = replace(SETTINGS, recipe={**SETTINGS.recipe, "init": "w.safetensors"})
    assert "from weights w.safetensors" in captions.table_caption("Table 5", warm, "")
    assert "weights" not in captions.table_caption("Table 5", SETTINGS, "")


def test_a_table_of_ours_is_not_the_papers():
    assert captions.table_title("Searched") == "Searched: not in the paper"


def test_the_legend_has_the_margin():
    assert "equivalent means within 0.3 points" in captions.legend(0.3)


def test_a_slope_without_an_interval_is_unresolved():
    trends = pd.DataFrame({"series": ["a", "b"], "slope": [1.0, 2.0], "low": [0.5, None], "high": [1.5, None]})
    caption = captions.head_counts_caption(trends.assign(verdict=["rises", "unresolved"]))
    assert caption.endswith("a: +1.00 [+0.50, +1.50], rises; b: unresolved.")


def test_a_figure_of_final_accuracies_names_the_placements_that_were_stopped():
    assert captions.left_out([]) == ""
    sentence = " Left out, because they were stopped early: DW SKA ATTN ATTN."
    assert captions.left_out(["dwconv-ska-attn-attn"]) == sentence
    assert captions.effects_caption("b", ["dwconv-ska-attn-attn"]).endswith(sentence)


def test_a_table_with_stopped_rows_explains_them():
    plain = captions.table_caption("Table 5", SETTINGS, "CPU")
    explained = captions.table_caption("Table 5", SETTINGS, "CPU", has_stopped_rows=True)
    assert explained.startswith(plain)
    assert "Stopped: at that epoch the row was forecast to lose, so it has no final accuracy." in explained
