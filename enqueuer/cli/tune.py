"""`enqueuer tune`: find how many processors and slots this machine needs, with these filters and this mail."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, CommandFailure, Json, answer, enter, expect_safe_config, fail, fold, help, printable
from enqueuer.cli.demo import own_mail
from enqueuer.queue.message.printable import printable_lines

if TYPE_CHECKING:
    from enqueuer.tune.mail import TrialMail
    from enqueuer.tune.report import ReportFacts
    from enqueuer.tune.session import Measured, TunePlan

__all__ = ["CommandFailure", "add_to"]

TEXT = """Runs an engine of its own, with your config and your filters, on copies of mail, in a temporary folder below Run/. Measures
throughput and waiting time with 1, 2, 4 ... 64 processors. Says what limits the throughput. Recommends `processors` and `max_in_flight`.
Changes nothing without --apply.

A running engine goes on, but the two share the machine. Your filters scan thousands of copies: a filter that learns or counts
(auto-learning, greylisting) counts them too.

Recommends nothing if other programs use the machine, if the throughput varies by more than 20%, or if too little was measured. Then
--apply writes nothing. Press q or ^C to end early, with the results so far.

Exit codes: 0 success, 66 no such mail, 69 nothing was measured, 75 no recommendation to apply, 130 stopped before the first result."""
EXAMPLES = ("enqueuer tune", "enqueuer tune --mail ~/Maildir --seconds 120 --png tune.png", "enqueuer tune --apply")
GO_BACK = "to go back: mv {old} {file}"


def add_to(app: typer.Typer) -> None:
    app.command("tune", **help("Measure how many processors and filter slots are best.", *EXAMPLES, text=TEXT))(_tune)


def _tune(
    base: Base = None,
    mail: Annotated[
        Path | None,
        typer.Option(
            "--mail",
            metavar="PATH",
            help="Use copies of this mail: a folder, mbox or Maildir. Default: mail that waits, else sample messages.",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=5, max=86400, metavar="N", help="Measure for about this long.")] = 60.0,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw the plot into FILE.")] = None,
    keep_slots: Annotated[bool, typer.Option("--keep-slots", help="Do not try more requests at once than max_in_flight allows.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Write the recommended values into the config file.")] = False,
    json: Json = False,
) -> int:
    from enqueuer.tune.png import MISSING, can_plot
    from enqueuer.tune.session import TunePlan

    if png is not None and not can_plot():
        fail(f"--png: {MISSING}", exits.UNAVAILABLE)
    mail, png = (None if path is None else path.absolute() for path in (mail, png))
    where = enter(base)
    expect_safe_config(where)
    if png is not None and not os.access(png.absolute().parent, os.W_OK):  # reported before the measurement
        fail(f"--png {printable(str(png))}: its folder does not exist, or you may not write there", exits.CANTCREAT)
    fed = _mail(where, mail)
    found = _measured(TunePlan(base=where, messages=fed.messages, seconds=seconds, keep_slots=keep_slots), fed)
    if not found.steps:
        fail("stopped before anything was measured", exits.INTERRUPTED)
    return _told(where, found, fed, png, apply, json)


def _mail(base: Path, mail: Path | None) -> "TrialMail":
    """The reader's own, else what waits, else sample messages. Raises Failure."""
    from enqueuer.tune.mail import MOST, made, own, waiting

    if mail is not None:
        return own(own_mail(mail, MOST), printable(str(mail)))
    return waiting(base) or made()


def _measured(plan: "TunePlan", fed: "TrialMail") -> "Measured":
    from rich.console import Console

    from enqueuer.control.client import NotRunning
    from enqueuer.lab.trial import TrialError
    from enqueuer.tune.keys import keys
    from enqueuer.tune.session import measure
    from enqueuer.tune.view import TuneView

    console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    console.print(f"Mail: {fed.source}.", soft_wrap=True)
    try:
        with keys() as stop, TuneView(plan.seconds, console) as view:
            stop.passes = view.passes
            return measure(plan, view, stop)
    except (TrialError, NotRunning) as error:
        fail(printable_lines(str(error)), exits.UNAVAILABLE)


def _told(base: Path, found: "Measured", fed: "TrialMail", png: Path | None, apply: bool, json: bool) -> int:
    from enqueuer.tune.advice import advise
    from enqueuer.tune.png import plot
    from enqueuer.tune.report import document, doubts, lines, settings

    facts = _facts(base, found, fed)
    advice = advise(found.steps, found.raised, facts.configured)
    if json:
        answer(document(advice, facts, found.steps, found.raised))
    else:
        print("\n".join(fold(printable(line), 2) for line in lines(advice, facts, found.steps)))
    if png is not None:
        plot(advice, found.steps, found.raised, png)
        _say(f"drawn: {printable(str(png))}")
    doubtful = doubts(advice, facts)
    if apply and doubtful:
        fail(f"nothing was changed: no recommendation: {doubtful[0].rstrip('.')}", exits.TEMPFAIL)
    if apply:
        processors, slots = settings(advice, facts)
        _apply(base, None if facts.auto else processors, slots)
    elif not doubtful and settings(advice, facts) != (facts.configured, facts.filters):
        _say("nothing was changed; --apply writes the recommended values into the config file")
    return exits.OK


def _facts(base: Path, found: "Measured", fed: "TrialMail") -> "ReportFacts":
    from enqueuer.tune.load import today
    from enqueuer.tune.report import ReportFacts
    from enqueuer.tune.rig import used_filters

    used = [each for each in found.config.filters if each.name in used_filters(found.config)]
    load = today(base)
    return ReportFacts(
        mail=fed.source,
        filters={each.name: each.max_in_flight for each in used},
        instances={each.name: each.instances for each in used},
        configured=found.config.enqueuer.most_processors,
        auto=found.config.enqueuer.processors == "auto",
        alone=found.alone,
        load=load.rate if load else None,
        load_source=load.source if load else "",
        notes=_notes(base, found),
        whole=found.whole,
    )


def _notes(base: Path, found: "Measured") -> list[str]:
    from enqueuer.control import client

    notes = []
    try:
        client.ask(base, {"command": "status"}, here=Path())
        notes.append("an engine runs on this base directory and uses the same machine: the figures are lower for that")
    except client.NotRunning:
        pass
    if found.stopped:
        notes.append("it was stopped early: higher counts were not measured")
    if found.late:
        last = found.steps[-1].processors
        notes.append(f"the time was over at {last} processors; higher counts may be better: give more --seconds")
    if found.trouble:
        notes.append(f"it ended early: {printable(found.trouble.splitlines()[0])}")
    return notes


def _apply(base: Path, processors: int | None, slots: dict[str, int]) -> None:
    from enqueuer import basedir
    from enqueuer.tune.apply import OLD, apply

    file = base / basedir.CONFIG
    if apply(base, processors, slots):
        _say(f"{file}: written; a running engine reads it by itself; {GO_BACK.format(old=base / OLD, file=file)}")
    else:
        _say(f"{file}: has these values already")


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)
