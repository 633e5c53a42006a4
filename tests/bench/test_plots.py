"""Demands on the plots: each group has one, whatever its values are, and figures that stay give files that stay."""

from pathlib import Path

import pytest

from bench.results import Result

plots = pytest.importorskip("bench.plots", reason="matplotlib is not installed")


def result(x: float | str, rate: float = 100.0, ideal: float | None = None) -> Result:
    return Result("bench_a.py", f"test[{x}]", "g", "x", x, "", {"messages/s": [rate]}, ("messages/s",), ideal, ())


@pytest.mark.parametrize(
    "results",
    [
        [result(1)],
        [result(0), result(20), result(200)],
        [result(1, 80.0, 90.0), result(64, 4000.0, 5000.0)],
        [result(1, 0.0), result(2, 0.0)],
        [result("group"), result("each")],
    ],
    ids=["one", "from nought", "logarithmic", "all nought", "bars"],
)
def test_a_group_is_drawn_as_svg_and_png(tmp_path: Path, results: list[Result]) -> None:
    """Numbers and names, one row or many; drawn again it is the same file, so that a page of figures changes only with them."""
    plots.draw(tmp_path, {"A group, of 20 ms": results}, "a machine")
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    plots.draw(tmp_path, {"A group, of 20 ms": results}, "a machine")

    assert sorted(first) == ["a-group-of-20-ms.png", "a-group-of-20-ms.svg"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


@pytest.mark.parametrize(
    ("results", "scales"),
    [
        ([result(1), result(2, 190.0), result(64, 4000.0)], ("log", "log")),
        ([result(1), result(2, 101.0)], ("log", "log")),
        ([result(0), result(20)], ("linear", "log")),
        ([result(1, 0.0), result(20)], ("log", "linear")),
    ],
)
def test_curves_are_drawn_log_log(results: list[Result], scales: tuple[str, str]) -> None:
    """A straight line is then a constant gain by each doubling. Only an axis with nought on it is linear. Each axis has labels."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots()
    plots._curves(axes, results)
    low, high = axes.get_ylim()

    assert (axes.get_xscale(), axes.get_yscale()) == scales
    assert [tick for tick in axes.get_yticks() if low <= tick <= high]
    plt.close(figure)
