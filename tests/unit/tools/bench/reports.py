"""A report to show and to read back."""

from __future__ import annotations

from tools.bench.report import Figures, Machine, Report, Section, Unit

MACHINE = Machine(
    cpus=2,
    memory_gib=24,
    system="Debian GNU/Linux 12",
    kernel="6.1",
    python="3.11.7",
    ansible_core="2.19.14",
    ansible_runner="2.4.3",
)


def report_of(figures: Figures, systems: tuple[str, ...] = ("subprocess", "forkserver")) -> Report:
    return Report(
        machine=MACHINE,
        systems=systems,
        load_before=(0.1, 0.2, 0.3),
        load_after=(1.0, 1.0, 1.0),
        seconds=90.0,
        figures=figures.all(),
    )


def sample_figures() -> Figures:
    figures = Figures()
    figures.add(Section.BURST, "20 Foos created at once", Unit.RUNS_PER_SECOND, "subprocess", 0.5)
    figures.add(Section.BURST, "20 Foos created at once", Unit.RUNS_PER_SECOND, "forkserver", 10.0)
    figures.add(Section.EVENT, "Pod created -> happy, p50", Unit.SECONDS, "subprocess", 3.0, 50, "a note")
    figures.add(Section.EVENT, "Pod created -> happy, p50", Unit.SECONDS, "forkserver", 0.25, 50, "a note")
    return figures
