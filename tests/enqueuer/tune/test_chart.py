from enqueuer.tune.chart import HEIGHT, chart
from enqueuer.tune.law import Law


def test_the_plot_of_a_capped_line() -> None:
    """Each count has its mark, higher the more it did; the law runs up to the cap; the arrow is below the count."""
    lines = chart([(1, 50), (2, 100), (4, 200), (8, 400), (16, 400)], Law(50), 8, cap=400)
    marks = [(row, line.index("●")) for row, line in enumerate(lines) if "●" in line]

    assert len(lines) == HEIGHT + 3
    assert sum(line.count("●") for line in lines) == 5
    assert marks == sorted(marks, key=lambda mark: -mark[1])
    assert lines[-1].index("▲") == lines[-2].index("8")
    assert lines[-2].split() == ["1", "2", "4", "8", "16", "processors"]
    assert any("/s ┤" in line for line in lines)


def test_one_point_is_drawn() -> None:
    """Whoever stopped early sees it, too."""
    assert "●" in "".join(chart([(1, 0.2)], Law(0.2), 1))
