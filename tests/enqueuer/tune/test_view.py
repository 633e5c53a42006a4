import io

from rich.console import Console

from enqueuer.tune.verdict import Cpu, TuneStep
from enqueuer.tune.view import TuneView

STEP = TuneStep(
    processors=4, rate=100.0, spread=0.01, busy=4, scanning=0, parked=0, piled_up=0, scans=(), cpu=Cpu(cores=2, busy=0.5), disk=0.1
)


def told(terminal: bool) -> str:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=120, highlight=False, _environ={"TERM": "xterm"})
    with TuneView(60, console) as view:
        view.does("4 processors")
        view.passes()
        view.idle(Cpu(cores=2, busy=0.05, outside=0.1))
        view.idle(Cpu(cores=2, busy=0.8, outside=1.5))
        view.alone(0.02)
        view.step(STEP, raised=False)
        view.step(STEP, raised=True)
        view.does("6 processors")
    return output.getvalue()


def test_a_pipe_gets_rows() -> None:
    """And one line that says how long it takes; no bar, no colour."""
    lines = told(terminal=False).splitlines()

    assert lines[0] == "Measuring for about 60 s; ^C ends it early, and reports what there is."
    assert lines[1] == "Other programs use 1.5 of 2 cores. If they go on, there is no recommendation; q or ^C ends it."
    assert "One message alone takes 20 ms" in lines[2]
    assert [line.split()[:3] for line in lines[5:]] == [["4", "-", "100"]] * 2
    assert lines[6].endswith("(more slots)")
    assert "\x1b" not in "".join(lines)


def test_a_terminal_gets_a_bar() -> None:
    """That says what is done, and how to stop it."""
    text = told(terminal=True)

    assert "4 processors" in text
    assert "q stops" in text
