from matplotlib import rcParams

from results.report.figure_style import WIDTH, files, label_once, new_figure, styled


def test_a_figure_has_the_width_of_a_column():
    figure, panels = new_figure("$", panels=2, height=3.0)
    assert figure.get_size_inches().tolist() == [WIDTH, 3.0]
    assert len(panels) == 2
    assert files(figure)["svg"].startswith(b"<?xml")


def test_a_label_is_shown_once():
    figure, (axes,) = new_figure("", panels=1, height=1.0)
    axes.plot([], [], label=label_once(axes, "rung"))
    assert label_once(axes, "rung") == "_rung"
    files(figure)


def test_the_style_holds_only_while_a_function_draws():
    size = styled(lambda: rcParams["font.size"])
    assert size() == 7
    assert rcParams["font.size"] != 7
