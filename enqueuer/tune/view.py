"""Show `enqueuer tune` while it measures: a row a step, and a bar on a terminal. It does nothing else."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from enqueuer.tune.doubt import is_crowded
from enqueuer.tune.report import HEAD, ROWS, row, show
from enqueuer.tune.session import TuneListener
from enqueuer.tune.verdict import Cpu, TuneStep

__all__ = ["TuneView"]


class TuneView(TuneListener):
    """Rows on `console`, with a bar of the time below them on a terminal."""

    def __init__(self, seconds: float, console: Console) -> None:
        self._seconds = seconds
        self._console = console
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("q stops"), console=console, transient=True)
        self._task: TaskID | None = None
        self._began = time.monotonic()
        self._told = False

    def __enter__(self) -> "TuneView":
        if self._console.is_terminal:
            self._bar.start()
            self._task = self._bar.add_task("", total=self._seconds)
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._bar.stop()

    def passes(self) -> None:
        """Update the bar: some time has passed."""
        if self._task is not None:
            self._bar.update(self._task, completed=min(self._seconds, time.monotonic() - self._began))

    def does(self, what: str) -> None:
        """Show what is done now."""
        if self._task is not None:
            self._bar.update(self._task, description=what, refresh=True)
        elif not self._told:
            self._console.print(f"Measuring for about {self._seconds:.0f} s; ^C ends it early, and reports what there is.")
        self._told = True

    def idle(self, cpu: Cpu) -> None:
        """Warn at once of other programs: they would make the whole run useless."""
        if is_crowded(cpu, cpu.outside):
            text = (
                f"Other programs use {cpu.outside:.1f} of {cpu.cores:g} cores. If they go on, there is no recommendation; q or ^C ends it."
            )
            self._console.print(text, soft_wrap=not self._console.is_terminal)

    def alone(self, seconds: float) -> None:
        """Show the time of one message without other mail, and the head of the table."""
        self._console.print(f"One message alone takes {show(seconds)} until it is out.")
        self._console.print(ROWS, soft_wrap=not self._console.is_terminal)
        self._console.print(Text(HEAD, "dim"), soft_wrap=True)

    def step(self, step: TuneStep, raised: bool) -> None:
        """Show a step as a row."""
        self._console.print(Text(row(step) + ("  (more slots)" if raised else "")), soft_wrap=True)
