"""Demands on the report: true figures in the right cells, and a page that keeps what people wrote around them."""

import pytest

from bench.report import BEGIN, END, about, closing, number, slug, splice, table, text
from bench.results import Result


def result(x: float | str, series: str = "", **values: list[float]) -> Result:
    return Result("bench_a.py", f"test[{x}]", "g", "processors", x, series, values, tuple(values)[:1], None, tuple(values))


def test_rows_are_in_the_order_of_numbers() -> None:
    """Whatever order benchmarks ran in, 2 comes before 16; a value that was not measured is an empty cell."""
    page = table([result(16, "a", rate=[3.0]), result(2, "a", rate=[1.0]), result(2, "b", rate=[2.0])])

    assert page.splitlines() == ["| processors (rate) | a | b |", "| ---: | ---: | ---: |", "| 2 | 1 | 2 |", "| 16 | 3 |  |"]


def test_several_values_have_a_column_each() -> None:
    """Each value of each series is named in the head; a spread that counts stands beside its median."""
    page = table([result("x", "a", p50=[1.0, 1.0, 1.0], p99=[9.0, 10.0, 11.0])])

    assert page.splitlines() == ["| processors | p50 | p99 |", "| --- | ---: | ---: |", "| x | 1 | 10 ±10% |"]


def test_a_figure_that_varies_by_more_than_30_percent_is_noise() -> None:
    """Beside the figure itself, so that it is not taken for a result."""
    page = table([result(1, rate=[70.0, 100.0, 131.0]), result(2, rate=[70.0, 100.0, 129.0])])

    assert page.splitlines()[2:] == ["| 1 | 100 ±30% noise |", "| 2 | 100 ±30% |"]


def many(rate: str = "messages/s") -> list[Result]:
    """Results of a helper of 20 ms, and one that is noise."""
    slow = [result(n)._replace(values={rate: [50.0 * n, 49.0 * n]}, group="throughput, helper of 20 ms") for n in (1, 8, 16)]
    return [*slow, result(1)._replace(values={rate: [9000.0, 1000.0]}, group="wild")]


def test_three_lines_say_what_was_seen_and_where_the_plots_are() -> None:
    lines = closing(many(), "bench/results/short", "group")

    assert lines == [
        'Seen: 792 messages/s at most (throughput, helper of 20 ms, processors 16): 16 times as much as with 1; durability "group".',
        "Noise (± over 30 %, so no result): 1 of 4 figures: wild (1).",
        "Plots: bench/results/short (2 figures, PNG and SVG); tables: bench/results/short.md.",
    ]


def test_they_are_three_also_without_throughput_or_noise() -> None:
    lines = closing(many("ms")[:2], "short", "each")

    assert lines[:2] == [
        'Seen: 2 figures of 1 table, none of them a throughput; durability "each".',
        "Noise (± over 30 %): none of 2 figures.",
    ]
    assert len(lines) == 3


def test_nothing_measured_is_seen_too() -> None:
    assert closing([], "short", "group")[0] == "Seen: nothing was measured."
    assert len(closing([], "short", "group")) == 3


def test_the_durability_in_force_is_named_with_the_machine() -> None:
    machine = dict.fromkeys(("cores", "cpu", "memory", "kernel", "python", "enqueuer", "warning"), "")
    page = about({"machine": machine | {"filesystem": "btrfs", "durability": "each"}, "benchmarks": [], "skipped": {}})

    assert 'btrfs (durability "each" is in force)' in page


def test_a_section_says_what_was_asked_and_of_which_checkout_the_answer_is() -> None:
    """Parts of the suite run on different days and commits: each says its own, and what could not run is named with the reason."""
    said = {"x": ["processors", 4], "series": "", "messages": 0, "plot": [], "ideal": None, "judged": []}
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
