"""Beside the peers: how does Enqueuer compare with what people run today?

Each figure is measured in turns with the peer, on the same machine and filesystem, in the same run; `times` is the median of the
ratios of the rounds. The peers are Debian's (`apt install mimedefang amavisd-new postfix gcc`, as root), configured to be as fast as
possible: nothing scanned, no log, no pauses, enough idle workers.

What differs:

- Multiplexers: both ask the same helper, a C program that answers at once, for clients that ask one question after the other, each a
  process of its own. Clients in C cost next to nothing, so the multiplexers are compared alone. Our processors are Python. Clients in
  Python, the leanest that speak each protocol, show how much of the difference they leave. MIMEDefang's multiplexer is a C program, ours
  Python. Its protocol connects again for each question, and it gives a worker one question at a time. So it has a worker for each client
  (with fewer, some questions stay in its queue for seconds while all workers are idle), and in a column of its own a pool of 16. Ours
  has one helper. `paced` is our default, one line in the helper's pipe at a time; `pipelined` is `pipelining = true`. `bare` is the same
  in Python without any other duty (bench/limits/mux.py): it is the most that Python can reach.
- On two cores a single client mostly waits for idle cores to wake up, hop by hop. Where all share one core there are no such waits.
- Mail: 8 KiB messages, 8 SMTP sessions that stay open, smtp-source to smtp-sink. The peers speak SMTP at both ends. Enqueuer takes files
  that are renamed into its drop folder, lets the C helper scan them, and leaves files in Outbound: it uses no network.
- amavisd-new has no queue and syncs nothing: it answers once the next server has the message. Enqueuer syncs (group) before it
  publishes.
- Postfix has each message in its queue twice, synced each time, as behind any content filter that gives mail back; the filter itself is
  left out. Enqueuer has it once, and syncs in groups.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.harness import Pile, config, engine, message, published
from bench.peers.amavisd import amavisd
from bench.peers.multiplexers import Programs, bare, filterlink, mimedefang
from bench.peers.parts import Missing, compiled, public_folder
from bench.peers.postfix import postfix
from bench.peers.smtp import Route
from bench.record import note, sample
from enqueuer.lab.trial import Trial

ROUNDS = 5
REQUESTS = 20_000
MAIL_ROUNDS = 3
MESSAGES = 2000
SIZE = 8192
POOL = 16
"""Workers of a MIMEDefang whose pool does not adapt to the load."""
CHILDREN = 4
"""Children of amavisd-new: on two cores 2 and 8 were not faster."""
full = pytest.mark.full


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as path:
        yield path


def multiplexers(benchmark: BenchmarkFixture, folder: Path, clients: int, core: int | None, pool: int, *, python: bool = False) -> None:
    with ExitStack() as stack:
        try:
            programs = Programs.in_folder(folder, core, python=python)
            theirs = {"MIMEDefang": stack.enter_context(mimedefang(programs, folder / "defang", clients))}
        except Missing as missing:
            pytest.skip(str(missing))
        if pool > clients:
            theirs["MIMEDefang, pool of 16"] = stack.enter_context(mimedefang(programs, folder / "pool", pool))
        ours = {
            "pipelined": stack.enter_context(filterlink(programs, folder / "pipelined", pipelining=True)),
            "paced": stack.enter_context(filterlink(programs, folder / "paced", pipelining=False)),
            "bare": stack.enter_context(bare(programs, folder / "bare")),
        }

        def turn() -> None:
            rates = {name: asked.rate(clients, REQUESTS) for name, asked in (ours | theirs).items()}
            sample(benchmark, {f"{name}/s": rate for name, rate in rates.items()})
            sample(benchmark, {f"{name} times MIMEDefang": rates[name] / rates["MIMEDefang"] for name in ours})

        note(benchmark, {"clients": clients}, plot=[f"{name}/s" for name in ours | theirs], judged=["pipelined/s", "paced/s"])
        benchmark.pedantic(turn, rounds=ROUNDS)  # type: ignore[no-untyped-call]


@full
@pytest.mark.benchmark(group="multiplexers, two cores")
@pytest.mark.parametrize("clients", [1, 8, 16, 160])
def test_multiplexers(benchmark: BenchmarkFixture, folder: Path, clients: int) -> None:
    """Compare filterlink and MIMEDefang's multiplexer."""
    multiplexers(benchmark, folder, clients, None, POOL)


@full
@pytest.mark.benchmark(group="multiplexers, clients and helpers on one core")
@pytest.mark.parametrize("clients", [1, 8, 16, 160])
def test_on_one_core(benchmark: BenchmarkFixture, folder: Path, clients: int) -> None:
    """Compare the processor time of a question, with all processes."""
    multiplexers(benchmark, folder, clients, 0, 0)


@full
@pytest.mark.benchmark(group="multiplexers, clients in Python, two cores")
@pytest.mark.parametrize("clients", [1, 8, 16, 160])
def test_clients_in_python(benchmark: BenchmarkFixture, folder: Path, clients: int) -> None:
    """Compare both with clients in Python, as our processors are."""
    multiplexers(benchmark, folder, clients, None, POOL, python=True)


@full
@pytest.mark.benchmark(group="multiplexers, clients in Python, all on one core")
@pytest.mark.parametrize("clients", [1, 8, 16, 160])
def test_clients_in_python_on_one_core(benchmark: BenchmarkFixture, folder: Path, clients: int) -> None:
    """Compare the same without the wake-ups of idle cores."""
    multiplexers(benchmark, folder, clients, 0, 0, python=True)


def beside(
    benchmark: BenchmarkFixture, folder: Path, processors: int, name: str, start: Callable[[], AbstractContextManager[Route]]
) -> None:
    """Compare Enqueuer and a mail server, with the same number of messages of the same size."""
    with ExitStack() as stack:
        try:
            noop = compiled("noop", folder)
            route = stack.enter_context(start())
        except Missing as missing:
            pytest.skip(str(missing))
        trial = stack.enter_context(engine(config(processors, str(noop))))
        data = message(SIZE)
        Pile(trial, 100, data).run()  # warm
        route.rate(100, SIZE)

        def setup() -> tuple[tuple[Pile], dict[str, object]]:
            return (Pile(trial, MESSAGES, data),), {}

        def turn(pile: Pile) -> None:
            ours = rate(trial, pile)
            theirs = route.rate(MESSAGES, SIZE)
            sample(benchmark, {"Enqueuer, messages/s": ours, f"{name}, messages/s": theirs, f"times {name}": ours / theirs})

        names = ["Enqueuer, messages/s", f"{name}, messages/s"]
        note(benchmark, {"processors": processors}, plot=names, judged=names[:1])
        benchmark.pedantic(turn, setup=setup, rounds=MAIL_ROUNDS)  # type: ignore[no-untyped-call]


def rate(trial: Trial, pile: Pile) -> float:
    """Return messages/s from the first rename into the drop folder to the last message in Outbound."""
    begun = time.time()
    pile.run()
    return MESSAGES / (published(trial.base)[-1] - begun)


@full
@pytest.mark.benchmark(group="mail, beside amavisd-new")
@pytest.mark.parametrize("processors", [4, 8])
def test_amavisd(benchmark: BenchmarkFixture, folder: Path, processors: int) -> None:
    """SMTP in, SMTP out, nothing scanned."""
    beside(benchmark, folder, processors, "amavisd-new", lambda: amavisd(folder / "amavisd", CHILDREN))


@full
@pytest.mark.benchmark(group="mail, beside Postfix with a content filter")
@pytest.mark.parametrize("processors", [4, 8])
def test_postfix(benchmark: BenchmarkFixture, folder: Path, processors: int) -> None:
    """smtpd, queue, content filter, smtpd, queue, smtp."""
    beside(benchmark, folder, processors, "Postfix", lambda: postfix(folder / "postfix"))
