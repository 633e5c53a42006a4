"""Demands on the plots: each group has one, whatever its values are, and figures that stay give files that stay."""

from pathlib import Path

import pytest

from bench.results import Result

plots = pytest.importorskip("bench.plots", reason="matplotlib is not installed")


def result(x: float | str, scale: str = "linear", ideal: float | None = None) -> Result:
    return Result("bench_a.py", f"test[{x}]", "g", "x", x, "", {"messages/s": [100.0]}, ("messages/s",), scale, ideal, ())


@pytest.mark.parametrize(
    "results",
    [
        [result(1)],
        [result(0), result(20), result(200)],
        [result(1, "log", 90.0), result(64, "log", 5000.0)],
        [result("group"), result("each")],
    ],
    ids=["one", "from nought", "logarithmic", "bars"],
)
def test_a_group_is_drawn_as_svg_and_png(tmp_path: Path, results: list[Result]) -> None:
    """Numbers and names, one row or many; drawn again it is the same file, so that a page of figures changes only with them."""
    plots.draw(tmp_path, {"A group, of 20 ms": results}, "a machine")
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    plots.draw(tmp_path, {"A group, of 20 ms": results}, "a machine")

    assert sorted(first) == ["a-group-of-20-ms.png", "a-group-of-20-ms.svg"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
