"""The same run through the proxy and directly to the API server, by the same engine, in turns, on an idle system."""

from __future__ import annotations

from statistics import median

from reconcile_runner.apimachinery.objects import ObjectKey
from reconcile_runner.metrics import PROXY_REQUESTS, ProxyAnswer
from tools.bench.baseline import Cost, run_by
from tools.bench.report import Section, Unit
from tools.bench.session import Session, tell
from tools.bench.system import System
from tools.bench.watching import ObjectWatch

_NOTE = "median; direct: each run has the administrator's kubeconfig instead of its own, for the same engine"

_ANSWERED = {ProxyAnswer.CACHE: "answered from memory", ProxyAnswer.API_SERVER: "that reach the API server"}


async def measure(
    session: Session, foos: ObjectWatch, systems: dict[System, ObjectKey], ordinary: str, rounds: int
) -> None:
    """Run the role ``rounds`` times by each system for its Foo, in turns, after one run that is not counted.

    ``ordinary``: the name of the system whose runs go through the proxy.
    """
    costs: dict[str, list[Cost]] = {system.name: [] for system in systems}
    through = next(system for system in systems if system.name == ordinary)
    before = await through.scrape()
    for number in range(rounds + 1):
        tell(f"one run, through the proxy and directly: {f'{number} of {rounds}' if number else 'warming up'}")
        for system, foo in systems.items():
            cost = await run_by(session, foos, system, foo)
            if number:
                costs[system.name].append(cost)
    add = session.figures.add
    after = await through.scrape()
    for answer, what in _ANSWERED.items():
        asked = after.value(PROXY_REQUESTS.name, answer=answer) - before.value(PROXY_REQUESTS.name, answer=answer)
        add(
            Section.PROXY,
            f"one run of roles/foo: requests {what}",
            Unit.REQUESTS,
            ordinary,
            asked / (rounds + 1),
            rounds,
        )
    for name, done in costs.items():
        wall, cpu = median(one.seconds for one in done), median(one.cpu_seconds for one in done)
        add(Section.PROXY, "one run of roles/foo", Unit.SECONDS, name, wall, rounds, _NOTE)
        add(Section.PROXY, "one run of roles/foo: CPU", Unit.CPU_SECONDS, name, cpu, rounds, _NOTE)
    direct = next(name for name in costs if name != ordinary)
    # Of each pair, because both of a pair were measured one after the other.
    ratio = median(through.seconds / past.seconds for through, past in zip(costs[ordinary], costs[direct], strict=True))
    add(Section.PROXY, "one run of roles/foo, against direct", Unit.RATIO, ordinary, ratio, rounds, _NOTE)
