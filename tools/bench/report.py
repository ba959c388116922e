"""What was measured: figures by system, and on what machine. Written as JSON, and read back for table and picture."""

from __future__ import annotations

import enum
import os
import platform
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict

FORMAT = 1
"""Raised when a reader of older reports would misunderstand newer ones."""

_KIB = 1024


class Unit(enum.StrEnum):
    """Units of figures."""

    SECONDS = "s"
    RUNS_PER_SECOND = "runs/s"
    CPU_SECONDS = "CPU-s"
    CPU_MILLISECONDS = "CPU-ms"
    MEGABYTES = "MB"
    PERCENT_OF_A_CORE = "% of a core"
    RATIO = "x"
    REQUESTS = "requests"

    @property
    def more_is_better(self) -> bool:
        """Tell whether a greater figure is the better one."""
        return self is Unit.RUNS_PER_SECOND


class Section(enum.StrEnum):
    """The parts of the table, in its order."""

    EVENT = "one event, idle system"
    PHASES = "where one run's time goes"
    BURST = "many Foos at once"
    BASELINE = "against bare ansible-runner"
    PROXY = "through the proxy and directly"
    NOOP = "one run by its number of tasks"
    STARTUP = "start-up with existing Foos"
    MEMORY = "memory (PSS, with children)"
    DEATH = "SIGKILL in the middle of a run"
    GROWTH = "growth (an engine that records instead of running)"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Model):
    """One row: ``values`` has a figure for each system by name, ``samples`` how many measurements each is made of."""

    section: Section
    name: str
    unit: Unit
    values: dict[str, float]
    samples: dict[str, int]
    note: str = ""


class Machine(_Model):
    """Where it was measured. ``memory_gib`` is rounded; ``system`` is the distribution."""

    cpus: int
    memory_gib: int
    system: str
    kernel: str
    python: str
    ansible_core: str
    ansible_runner: str


class Report(_Model):
    """Everything of one run of the bench. The loads are the averages over 1, 5 and 15 minutes."""

    format: int = FORMAT
    machine: Machine
    systems: tuple[str, ...]
    load_before: tuple[float, float, float]
    load_after: tuple[float, float, float]
    seconds: float
    figures: tuple[Figure, ...]


class Figures:
    """The figures in the making, in the order in which they first appear."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Section, str], Figure] = {}

    def add(
        self, section: Section, name: str, unit: Unit, system: str, value: float, samples: int = 1, note: str = ""
    ) -> None:
        """Note what a system showed."""
        row = self._rows.get((section, name)) or Figure(
            section=section, name=name, unit=unit, values={}, samples={}, note=note
        )
        changed = {"values": row.values | {system: value}, "samples": row.samples | {system: samples}}
        self._rows[section, name] = row.model_copy(update=changed)

    def all(self) -> tuple[Figure, ...]:
        """Return the figures, section by section."""
        order = list(Section)
        return tuple(sorted(self._rows.values(), key=lambda row: order.index(row.section)))


def this_machine() -> Machine:
    """Describe the machine that the bench runs on."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory_gib=round(pages * size / _KIB**3),
        system=platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
        kernel=".".join(platform.release().split(".")[:2]),
        python=platform.python_version(),
        ansible_core=metadata.version("ansible-core"),
        ansible_runner=metadata.version("ansible-runner"),
    )


def read(path: Path) -> Report:
    """Read a report. Raises ``pydantic.ValidationError`` where the file holds something else."""
    return Report.model_validate_json(path.read_bytes())
