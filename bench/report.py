"""The report: Markdown from a document of results. Pure, except for the docstrings that it reads.

Each file of benchmarks is a section: its docstring, the command, and a table and a plot for each of its groups (bench/record.py has
the convention). `publish` puts the sections into docs/performance.md, between two marks.
"""

import ast
import re
from collections.abc import Iterable, Sequence

from bench.results import HERE, MESSAGES_PER_S, Document, Result, results_of

__all__ = ["BEGIN", "END", "about", "by_group", "closing", "figure", "number", "slug", "splice", "table", "text", "without_plots"]

BEGIN = "<!-- bench: begin -->"
END = "<!-- bench: end -->"
SHOWN = 0.02
"""A larger spread is shown beside the median."""
NOISE = 0.3
"""A figure with a larger spread is called noise: it says nothing about the engine."""


def text(document: Document, form: str, plots: str) -> str:
    """Return all sections; `plots` is the folder of the plots, as in links."""
    results = results_of(document)
    files = list(dict.fromkeys([each.file for each in results] + [name.partition("::")[0] for name in document["skipped"]]))
    parts = [about(document), *(_section(file, form, results, document, plots) for file in sorted(files))]
    return "\n\n".join(parts) + "\n"


def about(document: Document) -> str:
    """Describe the machine in a sentence, and what distorts the figures."""
    machine = document["machine"]
    force = f' (durability "{machine["durability"]}" is in force)' if machine.get("durability") else ""
    head = (
        f"{machine['cores']} cores ({machine['cpu']}), {machine['memory']}, {machine['filesystem']}{force}, Linux {machine['kernel']}, "
        f"Python {machine['python']}, Enqueuer {machine['enqueuer']}. Medians of the rounds; "
        f"± is half the distance of the best and the worst, where it is over {SHOWN:.0%}; "
        f"a figure with more than {NOISE:.0%} is noise, and no result."
    )
    return f"{head}\n\n**{machine['warning']}.**" if machine["warning"] else head


def _section(file: str, form: str, results: Sequence[Result], document: Document, plots: str) -> str:
    question, _, rest = (ast.get_docstring(ast.parse((HERE / file).read_text())) or file).partition("\n\n")
    command = f"`TMPDIR=... python -m bench{' --full' if form == 'full' else ''} {file}`"
    runs = sorted({(each["when"][:10], each["commit"]) for each in document["benchmarks"] if each["file"] == file})
    dates = [f"{day} at {commit}" for day, commit in runs]
    parts = [f"### {_one_line(question)}", _paragraphs(rest), ", ".join([command, *dates])]
    for group, theirs in by_group(each for each in results if each.file == file).items():
        parts += [f"**{group}**", table(theirs), f"![{group}]({plots}/{slug(group)}.png)"]
    skipped = [f"- {name.partition('::')[2]}: {why}" for name, why in document["skipped"].items() if name.partition("::")[0] == file]
    if skipped:
        parts.append("Skipped:\n" + "\n".join(skipped))
    return "\n\n".join(part for part in parts if part)


def by_group(results: Iterable[Result]) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = {}
    for each in results:
        groups.setdefault(each.group, []).append(each)
    return groups


def table(results: Sequence[Result]) -> str:
    """Return a table: rows are x, columns are the values of each series."""
    columns = list(dict.fromkeys((each.series, value) for each in results for value in each.values))
    many = len({series for series, _ in columns}) > 1
    alone = len({value for _, value in columns}) == 1
    heads = [(series if alone else f"{series}: {value}") if many and series else value for series, value in columns]
    caption = results[0].x_name + (f" ({columns[0][1]})" if many and alone else "")
    rows = ordered(results)
    found = {(each.x, each.series, value): figure(each, value) for each in results for value in each.values}
    lines = [[caption, *heads], ["---:" if not isinstance(rows[0], str) else "---", *["---:"] * len(heads)]]
    lines += [[_label(x), *(found.get((x, *column), "") for column in columns)] for x in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def ordered(results: Sequence[Result]) -> list[float | str]:
    """Return the values of x: numbers by size, names in their order."""
    numbers = sorted({each.x for each in results if not isinstance(each.x, str)})
    return [*numbers, *dict.fromkeys(each.x for each in results if isinstance(each.x, str))]


def figure(result: Result, value: str) -> str:
    """Return the median in three digits or more, with the spread of the rounds if it is large."""
    spread = result.spread(value)
    return number(result.median(value)) + (f" ±{spread:.0%}" if spread > SHOWN else "") + (" noise" if spread > NOISE else "")


def closing(results: Sequence[Result], folder: str, durability: str) -> list[str]:
    """Return the last three lines of a run: what was seen, what of it is noise, and where the plots are. `durability`: in force."""
    figures = [(each, value) for each in results for value in each.values]
    groups = by_group(results)
    noise = [each.group for each, value in figures if each.spread(value) > NOISE]
    counted = ", ".join(f"{group} ({noise.count(group)})" for group in dict.fromkeys(noise))
    said = f"{len(noise)} of {len(figures)} figures: {counted}" if noise else f"none of {len(figures)} figures"
    return [
        f'{_seen(figures, groups)}; durability "{durability}".' if figures else "Seen: nothing was measured.",
        f"Noise (± over {NOISE * 100:.0f} %{', so no result' if noise else ''}): {said}.",
        f"Plots: {folder} ({_many(len(groups), 'figure')}, PNG and SVG); tables: {folder}.md.",
    ]


def _seen(figures: Sequence[tuple[Result, str]], groups: dict[str, list[Result]]) -> str:
    """Say how much mail went through at most, and where; what is noise does not count."""
    rates = [(each.median(MESSAGES_PER_S), each) for each, value in figures if value == MESSAGES_PER_S and each.spread(value) <= NOISE]
    if not rates:
        return f"Seen: {_many(len(figures), 'figure')} of {_many(len(groups), 'table')}, none of them a throughput"
    most, at = max(rates, key=lambda found: found[0])
    same = {each.x: rate for rate, each in rates if (each.group, each.series) == (at.group, at.series) and not isinstance(each.x, str)}
    least = min(same, default=None)
    times = f": {number(most / same[least])} times as much as with {_label(least)}" if least not in (None, at.x) and same[least] else ""
    series = f", {at.series}" if at.series else ""
    return f"Seen: {number(most)} messages/s at most ({at.group}{series}, {at.x_name} {_label(at.x)}){times}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _label(x: float | str) -> str:
    return f"{x:,}" if isinstance(x, int) else str(x)


def slug(group: str) -> str:
    """Return a group's name as the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")


def splice(page: str, sections: str) -> str:
    """Return the page with these sections between its marks. Raises ValueError if it has no marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{sections}\n{END}{after}"


def _one_line(paragraph: str) -> str:
    return " ".join(paragraph.split()).removesuffix(".")


def _paragraphs(rest: str) -> str:
    """Join the lines of each docstring paragraph into one."""
    return "\n\n".join(_joined(part) for part in rest.strip().split("\n\n"))


def _joined(paragraph: str) -> str:
    lines = paragraph.splitlines()
    return paragraph if any(line.startswith(("-", "|", " ")) for line in lines) else " ".join(line.strip() for line in lines)


def without_plots(page: str) -> str:
    """Return the page for a terminal."""
    return "\n".join(line for line in page.splitlines() if not line.startswith("!["))
