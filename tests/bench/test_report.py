"""Demands on the report: true figures in the right cells, and a page that keeps what people wrote around them."""

import pytest

from bench.report import BEGIN, END, number, slug, splice, table, text
from bench.results import Result


def result(x: float | str, series: str = "", **values: list[float]) -> Result:
    return Result("bench_a.py", f"test[{x}]", "g", "processors", x, series, values, tuple(values)[:1], "linear", None, tuple(values))


def test_rows_are_in_the_order_of_numbers() -> None:
    """Whatever order benchmarks ran in, 2 comes before 16; a value that was not measured is an empty cell."""
    page = table([result(16, "a", rate=[3.0]), result(2, "a", rate=[1.0]), result(2, "b", rate=[2.0])])

    assert page.splitlines() == ["| processors (rate) | a | b |", "| ---: | ---: | ---: |", "| 2 | 1 | 2 |", "| 16 | 3 |  |"]


def test_several_values_have_a_column_each() -> None:
    """Each value of each series is named in the head; a spread that counts stands beside its median."""
    page = table([result("x", "a", p50=[1.0, 1.0, 1.0], p99=[9.0, 10.0, 11.0])])

    assert page.splitlines() == ["| processors | p50 | p99 |", "| --- | ---: | ---: |", "| x | 1 | 10 ±10% |"]


def test_a_section_says_what_was_asked_and_of_which_checkout_the_answer_is() -> None:
    """Parts of the suite run on different days and commits: each says its own, and what could not run is named with the reason."""
    said = {"x": ["processors", 4], "series": "", "messages": 0, "plot": [], "scale": "linear", "ideal": None, "judged": []}
    one = {
        "file": "bench_size.py",
        "name": "t",
        "group": "g",
        "when": "2026-11-24 13:00:00",
        "commit": "abc",
        "seconds": [1.0],
        "said": said,
    }
    machine = dict.fromkeys(("cores", "cpu", "memory", "filesystem", "kernel", "python", "enqueuer", "warning"), "")
    page = text({"machine": machine, "benchmarks": [one], "skipped": {"bench_size.py::u": "no clamd"}}, "full", "plots")

    assert "### Size: what do large messages cost?" in page
    assert "`TMPDIR=... python -m bench --full bench_size.py`, 2026-11-24 at abc" in page
    assert "| 4 | 1,000 |" in page
    assert "![g](plots/g.png)" in page
    assert "- u: no clamd" in page


@pytest.mark.parametrize(("value", "shown"), [(12345.6, "12,346"), (123.4, "123"), (45.67, "45.7"), (0.01234, "0.0123")])
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    """Not more digits than the measurement has, and none of a large number's dropped."""
    assert number(value) == shown


def test_a_group_is_a_file_name() -> None:
    """Blanks and signs become hyphens."""
    assert slug("Helper of 20 ms, p99 (loaded)") == "helper-of-20-ms-p99-loaded"


def test_publishing_keeps_the_page_around() -> None:
    """Only what stands between the marks is replaced; a page without them is refused."""
    page = f"# Before\n\n{BEGIN}\nold\n{END}\n\nafter\n"

    assert splice(page, "new") == f"# Before\n\n{BEGIN}\n\nnew\n{END}\n\nafter\n"
    with pytest.raises(ValueError, match="bench: begin"):
        splice("# Before\n", "new")
