"""Describe what a step of `enqueuer tune` measured, and find the bottleneck in it. Pure."""

from typing import Literal

import msgspec

__all__ = ["FULL", "UNSEEN", "Bottleneck", "Cpu", "Kind", "Scans", "TuneStep", "Wait", "judge"]

Kind = Literal["processors", "filter slots", "scanner CPU", "engine CPU", "other programs", "disk", "nothing that is seen here"]
UNSEEN: Kind = "nothing that is seen here"
FULL = 0.9
"""A resource is full when this part of it is in use: no mean over seconds reaches 1."""
PILED_UP = 0.3
"""The part of the time in which messages with a verdict piled up before their sync, or a program waited for the disk."""
RISING = 0.9
"""The part of their expected gain that added processors must bring, for nothing else to be scarce."""
LITTLE = 0.25
"""If mail uses no more than this part of the CPU, programs that use the rest do not slow it down."""
ROOM = 0.85
"""A CPU that is less busy has room."""


class Scans(msgspec.Struct, frozen=True):
    """One filter."""

    name: str
    in_flight: float
    """Requests at the same time, the mean."""
    slots: int


class Cpu(msgspec.Struct, frozen=True):
    """Who used the CPU, in cores."""

    cores: float
    """Cores of the machine, or what a container or service may use of them."""
    busy: float
    """The part of them that was in use."""
    engine: float = 0.0
    helpers: float = 0.0
    others: float = 0.0
    hottest: float = 0.0
    """Use of the busiest process among the helpers."""
    other: str = ""
    """The program outside of the engine that used the most."""
    before: float = 0.0
    """Use of outside programs before there was any mail. The rest is work of filters elsewhere, by a daemon."""
    outside: float = 0.0
    """Use of all programs that are not ours, also of those that have ended: the use of the machine minus our own use."""
    idle_outside: float = 0.0
    """The same without mail, just before or just after the step: the larger value."""

    @property
    def foreign(self) -> float:
        """Return the cores that other programs took. What they use only while there is mail belongs to a scanner's daemon."""
        return min(self.outside, self.idle_outside)


class Wait(msgspec.Struct, frozen=True):
    """Random arrivals at `load` messages/s: seconds from the drop to the disposition."""

    load: float
    count: int
    mean: float
    median: float
    p99: float


class TuneStep(msgspec.Struct, frozen=True, kw_only=True):
    """One number of processors under more mail than they can take. All values are means over the time."""

    processors: int
    rate: float
    """Messages/s."""
    spread: float | None
    """Half the range of the rate over the parts of the time, relative to the rate; None: too few messages to know it."""
    busy: float
    """Processors that worked."""
    scanning: float
    """Processors that waited for a filter."""
    parked: float
    piled_up: float
    """The part of the time without feeding, because too many messages with a verdict waited for the disk."""
    scans: tuple[Scans, ...]
    cpu: Cpu
    disk: float
    """The part of the time in which a program waited for a disk."""
    wait: Wait | None = None

    @property
    def slots(self) -> int:
        """Return the slots of the scarcest filter; 0 without one."""
        return min((each.slots for each in self.scans), default=0)

    @property
    def at_once(self) -> int:
        """Return how many messages can be in work."""
        return min(self.processors, self.slots or self.processors)


class Bottleneck(msgspec.Struct, frozen=True):
    """The bottleneck, and the evidence in words."""

    kind: Kind
    why: str
    cure: str = ""


def judge(step: TuneStep, before: TuneStep | None = None) -> Bottleneck:
    """Find what is full. `before`: the step with fewer processors.

    If the added processors did as much as the others, the bottleneck is processors, whatever else is busy. Else the order
    matters: a scanner without CPU also fills its slots, and full slots keep processors busy.
    """
    if before is not None and step.rate / before.rate >= RISING * step.processors / before.processors:
        return _processors(step) or _unseen(step)
    return _disk(step) or _cpu(step) or _slots(step) or _processors(step) or _unseen(step)


def _disk(step: TuneStep) -> Bottleneck | None:
    io = 1 - step.scanning / step.busy if step.busy else 0.0
    piled_up = step.piled_up >= PILED_UP and (step.cpu.busy < ROOM or step.disk >= PILED_UP)
    reading = step.busy >= FULL * step.processors and io >= 0.5 and step.disk >= PILED_UP and step.cpu.busy < ROOM
    if piled_up:
        why = f"scanned messages waited to be written to the disk for {step.piled_up:.0%} of the time"
    elif reading:
        why = f"{step.busy:.1f} of {step.processors} processors read and write"
    else:
        return None
    why += f"; programs waited for the disk {step.disk:.0%} of the time"
    return Bottleneck("disk", why, "a faster disk, or one with a write cache that survives a power cut; more processors do not help")


def _cpu(step: TuneStep) -> Bottleneck | None:
    cpu = step.cpu
    scanning = step.scanning >= 0.5
    if cpu.busy >= FULL:
        by = f"filters {cpu.helpers:.1f}, the engine {cpu.engine:.1f}, other programs {cpu.others:.1f}"
        used = f"{cpu.busy:.0%} of {cpu.cores:g} cores are in use: {by}"
        if cpu.other and cpu.others >= 0.2:
            used += f" (most of it {cpu.other})"
        kind = _most(cpu, scanning)
        if kind == "other programs" and cpu.helpers + cpu.engine < LITTLE * cpu.cores:
            return _slots(step)  # mail hardly uses it: a filter that only waits is not slowed down
        return Bottleneck(kind, used, "more or faster cores, or a cheaper scan; more processors do not help")
    if cpu.hottest >= FULL and scanning:
        why = f"one helper process uses {cpu.hottest:.2f} of {cpu.cores:g} cores"
        cure = "instances = 2 or more, so that the filter uses other cores too" if cpu.cores > 1 else "a faster core"
        return Bottleneck("scanner CPU", why, cure)
    return None


def _most(cpu: Cpu, scanning: bool) -> Kind:
    """Return who uses the most. A scanner may be a daemon: then it is what outside programs use more than before."""
    elsewhere = max(0.0, cpu.others - cpu.before)
    scans, ours = (elsewhere, 0.0) if scanning else (0.0, elsewhere)
    used: dict[Kind, float] = {
        "scanner CPU": cpu.helpers + scans,
        "engine CPU": cpu.engine + ours,
        "other programs": cpu.others - elsewhere,
    }
    return max(used, key=lambda kind: used[kind])


def _slots(step: TuneStep) -> Bottleneck | None:
    full = [each for each in step.scans if each.in_flight >= FULL * each.slots]
    if not full or (step.parked < 0.5 and step.processors <= full[0].slots):
        return None
    each = full[0]
    why = f'filter "{each.name}" has {each.in_flight:.1f} of {each.slots} slots in use while {step.parked:.0f} messages are parked'
    return Bottleneck(
        "filter slots",
        why,
        "raise max_in_flight (or instances) of that filter, and processors with it, if what it asks can take more at once",
    )


def _processors(step: TuneStep) -> Bottleneck | None:
    if step.busy < FULL * step.processors:
        return None
    return Bottleneck(
        "processors", f"{step.busy:.1f} of {step.processors} are busy, {step.scanning:.1f} of them with a filter", "more processors"
    )


def _unseen(step: TuneStep) -> Bottleneck:
    why = f"{step.busy:.1f} of {step.processors} processors are busy, the CPU {step.cpu.busy:.0%}, the disk {step.disk:.0%}"
    return Bottleneck(UNSEEN, why)
