"""The reference in docs/rules.md, made from the tables of the code. `python -m tests.helpers.rulespage` writes it into the page."""

from enqueuer.policy.macros import MACROS
from enqueuer.policy.rules import EXAMPLES
from enqueuer.policy.vocabulary import ACTIONS, DATA, OPERATIONS, Datum
from tests.helpers.paths import ROOT

__all__ = ["BEGIN", "END", "PAGE", "reference", "with_reference"]

PAGE = ROOT / "docs/rules.md"
BEGIN = "<!-- reference: made from the code by `python -m tests.helpers.rulespage` -->"
END = "<!-- end of the reference -->"
ABSENT = {
    "negative": "`is not` and `not in` hold; others do not",
    "never": "it does not hold, whatever the operation",
    "empty": "it compares as the empty text",
    "always there": "",
}
PARAMETERS = {
    "text": 'pictures: `"*text*"`',
    "address": 'pictures: `"*@example.org"`',
    "network": 'addresses and networks: `"10.0.0.0/8"`',
    "size": "a size: `10K`",
    "number": "a number: `5`",
    "date": '`"24 Dec 2026"`, `"24 Dec 2026 18:00"`; `is` and `in` also take pictures: `"04 Dec *"`',
    "day": '`"Sat"` or `"Saturday"`; the week begins on Monday',
    "time": '`17:30`; `is` and `in` also take pictures: `"09:*"`',
    "verdict": "`ok`, `error`, `rejected`, `discard`, `failure`",
    "flag": "none",
}


def reference() -> str:
    """Return the part of the page between the two comments."""
    return "\n".join(["", *_conditions(), "", *_operations(), "", *_actions(), "", *_macros(), ""])


def with_reference(page: str) -> str:
    """Return the page with the reference of today."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{reference()}\n{END}{rest.partition(END)[2]}"


def _conditions() -> list[str]:
    rows = [f"| `{_sentence(each)}` | {_name(each)} | {each.kind} | {each.meaning} | {_absent(each)} |" for each in DATA]
    return [
        "### Conditions",
        "",
        "| in `when` | in `conditions` | kind | it is about | if the message has none |",
        "|---|---|---|---|---|",
        *rows,
    ]


def _sentence(datum: Datum) -> str:
    return ("any " if datum.quantified else "") + datum.word + ('("Name")' if datum.argument else "")


def _absent(datum: Datum) -> str:
    if datum.quantified and datum.absent == "negative":
        return "`any` does not hold; `each` holds with `is not` and `not in`"
    return ABSENT[datum.absent]


def _name(datum: Datum) -> str:
    name = ("Any " if datum.quantified else "") + datum.name + ("(Name)" if datum.argument else "")
    return name + (" (ours)" if datum.ours else "")


def _operations() -> list[str]:
    rows = [
        f"| {kind} | {', '.join(f'`{each}`' for each in known if each) or 'none'} | {PARAMETERS[kind]} |"
        for kind, known in OPERATIONS.items()
    ]
    return ["### Operations", "", "| kind | operations | parameter |", "|---|---|---|", *rows]


def _actions() -> list[str]:
    rows = []
    for name, each in ACTIONS.items():
        example = f', "{EXAMPLES[each.parameter]}"' if each.parameter != "none" else ""
        optional = "; the parameter may be left out" if each.optional else ""
        rows.append(f'| `["{name}"{example}]` | {each.meaning}{optional} | {"yes" if each.ends else ""} | {"yes" if each.ours else ""} |')
    return ["### Actions", "", "| action | it | ends | ours |", "|---|---|---|---|", *rows]


def _macros() -> list[str]:
    return [
        "### Macros",
        "",
        "| macro | it becomes |",
        "|---|---|",
        *(f"| `^{name}` | {meaning} |" for name, (meaning, _) in MACROS.items()),
    ]


if __name__ == "__main__":
    PAGE.write_text(with_reference(PAGE.read_text()))
