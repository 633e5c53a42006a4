import msgspec
import pytest

from enqueuer.tune.verdict import UNSEEN, Cpu, Scans, TuneStep, judge

CALM = TuneStep(
    processors=16,
    rate=100.0,
    spread=0.02,
    busy=8.0,
    scanning=7.0,
    parked=0.0,
    piled_up=0.0,
    scans=(Scans("F", 7.0, 32),),
    cpu=Cpu(cores=4, busy=0.3, engine=0.5, helpers=0.3, hottest=0.3),
    disk=0.02,
)
IDLE_CPU = CALM.cpu


def verdict(**fields: object) -> str:
    return judge(msgspec.structs.replace(CALM, **fields)).kind


def cpu(**fields: object) -> Cpu:
    return msgspec.structs.replace(IDLE_CPU, **fields)


def test_all_busy_means_processors() -> None:
    """With a filter that waits, and has slots left."""
    assert verdict(busy=15.9, scanning=15.5, scans=(Scans("F", 15.5, 32),)) == "processors"


def test_full_slots() -> None:
    """While messages are parked for them, or more processors ask than there are slots."""
    full = (Scans("G", 1.0, 99), Scans("F", 15.6, 16))

    assert verdict(scans=full, parked=3.0) == "filter slots"
    assert verdict(scans=full, parked=0.0, processors=32, busy=17.0) == "filter slots"
    assert 'filter "F" has 15.6 of 16 slots' in judge(msgspec.structs.replace(CALM, scans=full, parked=3.0)).why


def test_as_many_processors_as_slots_is_not_full_slots() -> None:
    """Nobody has asked for more yet."""
    assert verdict(scans=(Scans("F", 15.6, 16),), busy=15.9, scanning=15.6) == "processors"


@pytest.mark.parametrize(
    ("used", "kind"),
    [
        (cpu(busy=0.97, helpers=3.0, engine=0.8), "scanner CPU"),
        (cpu(busy=0.97, helpers=0.4, engine=3.4), "engine CPU"),
        (cpu(busy=0.97, helpers=0.1, engine=0.5, others=3.2, other="clamd"), "scanner CPU"),
        (cpu(busy=0.97, helpers=0.1, engine=0.9, others=2.9, before=2.8, other="make"), "other programs"),
        (cpu(busy=0.3, helpers=1.0, hottest=0.99), "scanner CPU"),
    ],
)
def test_a_busy_cpu(used: Cpu, kind: str) -> None:
    """Of whoever takes the most, though slots and processors are full as well."""
    full = (Scans("F", 16.0, 16),)

    assert verdict(cpu=used, scans=full, parked=9.0, busy=16.0, scanning=15.0) == kind


def test_one_core_of_many_has_its_cure() -> None:
    """A helper with one thread on a machine with many cores."""
    step = msgspec.structs.replace(CALM, cpu=cpu(helpers=1.0, hottest=0.99))

    assert "instances = 2" in judge(step).cure


def test_programs_outside_of_the_engine_are_named() -> None:
    """It is they who want the CPU."""
    assert "clamd" in judge(msgspec.structs.replace(CALM, cpu=cpu(busy=0.97, others=3.2, other="clamd"))).why


def test_without_a_filter_it_is_the_engine() -> None:
    """There is nobody else."""
    assert verdict(scans=(), scanning=0.0, cpu=cpu(busy=0.95, helpers=0.0, engine=1.0, others=1.5)) == "engine CPU"


def test_others_take_nothing_from_a_filter_that_waits() -> None:
    """Full slots are full slots beside a busy machine, unless mail itself wants much of the CPU."""
    full = (Scans("F", 16.0, 16),)

    assert verdict(cpu=cpu(busy=0.97, engine=0.4, others=3.4, before=3.4), scans=full, parked=9.0) == "filter slots"
    assert verdict(cpu=cpu(busy=0.97, engine=1.2, others=2.6, before=2.6), scans=full, parked=9.0) == "other programs"
    assert verdict(cpu=cpu(busy=0.97, engine=0.4, others=3.4, before=3.4)) == UNSEEN


def test_what_still_rises_wants_processors() -> None:
    """Whatever else is busy: they brought as much as those before them."""
    busy = msgspec.structs.replace(CALM, busy=15.9, rate=100.0, cpu=cpu(busy=0.99, engine=1.0, others=2.9, before=2.9))

    assert judge(busy, msgspec.structs.replace(CALM, processors=8, rate=51.0)).kind == "processors"
    assert judge(busy, msgspec.structs.replace(CALM, processors=8, rate=60.0)).kind == "other programs"


def test_a_pile_before_the_sync_is_the_disk() -> None:
    """Unless the CPU is so busy that the committer does not get to it, and nobody waits for the disk."""
    assert verdict(piled_up=0.6) == "disk"
    assert verdict(piled_up=0.6, cpu=cpu(busy=0.96, engine=3.8)) == "engine CPU"
    assert verdict(piled_up=0.6, cpu=cpu(busy=0.96, engine=3.8), disk=0.5) == "disk"


def test_processors_that_write_all_the_time_are_the_disk() -> None:
    """Large messages on a slow disk."""
    assert verdict(busy=15.9, scanning=1.0, disk=0.9) == "disk"
    assert verdict(busy=15.9, scanning=1.0, disk=0.05) == "processors"


def test_what_nothing_explains_is_said() -> None:
    """No bottleneck is made up."""
    assert verdict() == "nothing that is seen here"
