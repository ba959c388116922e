"""Random histories of Foos, Pods and dependents, with cut watches and operators that come and go, against a model.

After each quiet moment the API server holds the truth about every object. Never do two runs of one object go on at
once, and there are no more runs than the changes ask for. The operator is whole, but for Ansible: its role is Python
(``stubengine``). hypothesis draws the histories and makes one that fails as short as it can; what it prints reproduces
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import http
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import reconcile_runner
from reconcile_devcluster.cluster import Cluster
from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.client import HttpClient, connect
from reconcile_runner.errors import ApiError
from tests.support.operator_process import foo_path, new_foo
from tests.support.stubengine import GONE, Ledger, StubEngine
from tests.support.watching import Relay, make_namespace, pod, relayed, until

pytestmark = pytest.mark.timeout(600)

FINALIZER = "tutorial.my.domain/leave-a-note"
NAMES = ("ann", "bob", "cid", "dee")
FRIENDS = ("jack", "jill", "joe")
OF_AN_UPDATE = 1
"""How many runs more it costs where a run updates what it has made: a dependent's change runs its owner, whoever made
it, as in controller-runtime."""
OF_A_LIST = 1
"""How many runs more it may cost where a run makes an object while its kind is being listed: a list without the object
is older, or the object was deleted, which nobody can tell. The owner runs, so that no deletion is lost."""
MAX_CUTS = 3
"""In one history. Each makes the operator wait for longer before it watches again, up to 30 s."""
WATCHES = [
    {
        "group": "tutorial.my.domain",
        "version": "v1",
        "kind": "Foo",
        "role": "role",
        "triggers": [
            {
                "version": "v1",
                "kind": "Pod",
                "events": ["created", "deleted"],
                "match": {"source": "metadata.name", "field": "spec.name"},
            }
        ],
        "finalizer": {"name": FINALIZER, "vars": {"state": "absent"}},
    }
]

_namespaces = (f"model-{number}" for number in itertools.count())


class Step(enum.Enum):
    """What may happen next. It does where it can: only a Pod that is there is deleted."""

    WRITE_A_FOO = enum.auto()
    LABEL_A_FOO = enum.auto()
    DELETE_A_FOO = enum.auto()
    MAKE_OR_DELETE_A_POD = enum.auto()
    SPOIL_A_DEPENDENT = enum.auto()
    DELETE_A_DEPENDENT = enum.auto()
    LET_IT_WORK = enum.auto()
    CUT_CONNECTIONS = enum.auto()
    STOP_THE_OPERATOR = enum.auto()
    END_THE_OPERATOR = enum.auto()
    START_THE_OPERATOR = enum.auto()
    BE_QUIET = enum.auto()


class Operator:
    """One operator of a namespace, between which and the API server connections can be cut."""

    def __init__(self, kubeconfig: Path, directory: Path, namespace: str, ledger: Ledger) -> None:
        self._kubeconfig = kubeconfig
        self._directory = directory
        self._namespace = namespace
        self._engine = StubEngine(ledger)
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._parts = contextlib.AsyncExitStack()
        self._relay: Relay | None = None

    async def start(self) -> None:
        self._directory.mkdir()
        self._relay, through = await self._parts.enter_async_context(relayed(self._kubeconfig, self._directory))
        path = self._directory / "watches.yaml"
        (self._directory / "role" / "tasks").mkdir(parents=True)
        watches = [{**watch, "role": str(self._directory / "role")} for watch in WATCHES]
        path.write_text(yaml.safe_dump(watches), encoding="utf-8")
        options = reconcile_runner.Options(
            kubeconfig=through,
            namespaces=(self._namespace,),
            runner_dir=self._directory / "runs",
            reconcile_period=0.0,
            health_probe_bind_address=None,
            metrics_bind_address=None,
            user_metrics_bind_address=None,
        )
        manager = reconcile_runner.Manager(options, reconcile_runner.load_watches(path), self._engine)
        await self._parts.enter_async_context(manager)
        self._serving = asyncio.create_task(manager.serve(self._stop, self._hurry), name="operator")

    def cut(self) -> None:
        """Cut every connection to the API server: watches, and what is in flight."""
        assert self._relay is not None
        self._relay.cut()

    async def stop(self, *, hurry: bool) -> None:
        """Stop it. Its runs may end before, or are ended in the middle."""
        if hurry:
            self._hurry.set()
        self._stop.set()
        assert self._serving is not None
        await self._serving
        await self._parts.aclose()


@dataclass
class Model:
    """What must be true of the Foos, and how many runs the changes so far may have cost.

    - ``friends``: each Foo that is to exist, and whom it looks for; ``pods``: who is there
    - ``lately``: whom each Foo was looking for since the last quiet moment
    - ``changed_pods``: how often each Pod came or went since. Watches of two kinds tell what they saw in any order
    - ``gone``: the Foos that were deleted since, and whether each had its finalizer
    - ``is_listing``: whether the operator may be listing what it watches, for the first time or after a cut
    - ``allowed``: the runs of each Foo
    """

    friends: dict[str, str] = field(default_factory=dict)
    pods: set[str] = field(default_factory=set)
    lately: dict[str, set[str]] = field(default_factory=dict)
    changed_pods: Counter[str] = field(default_factory=Counter)
    gone: dict[str, bool] = field(default_factory=dict)
    is_listing: bool = True
    allowed: Counter[str] = field(default_factory=Counter)

    def looks_for(self, name: str, friend: str) -> None:
        self.allowed[name] += OF_AN_UPDATE if name in self.friends else self.of_a_list()
        self.friends[name] = friend
        self.lately.setdefault(name, set()).add(friend)
        self.allowed[name] += 1 + self.changed_pods[friend]

    def pod_changed(self, friend: str) -> None:
        self.changed_pods[friend] += 1
        for name, looked_for in self.lately.items():
            self.allowed[name] += friend in looked_for

    def is_listed_anew(self) -> None:
        """Note that an operator starts, or was cut off: it runs again what was being done."""
        self.is_listing = True
        self.allowed.update(list(self.lately))

    def of_a_list(self) -> int:
        return OF_A_LIST if self.is_listing else 0

    def was_quiet(self) -> None:
        self.lately = {name: {friend} for name, friend in self.friends.items()}
        self.changed_pods.clear()
        # Dependents are watched, and so listed, from the first one on.
        self.is_listing = self.is_listing and not self.friends
        self.gone.clear()


class Histories(RuleBasedStateMachine):
    """Steps of the world around an operator. Between them nothing goes on but in a few turns of the event loop."""

    cluster: Cluster
    directory: Path
    taken: Counter[Step]
    """The steps of all histories that did something."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.model = Model()
        self.ledger = Ledger()
        self.operator: Operator | None = None
        self.namespace = next(_namespaces)
        self.numbers = itertools.count()
        self.cuts = 0
        self.parts = contextlib.AsyncExitStack()

    @initialize()
    def begin(self) -> None:
        self.loop.run(self._begin())
        for name, friend in zip(NAMES, FRIENDS, strict=False):
            self.write_a_foo(name, friend)

    # One rule, because hypothesis leaves whole rules out of most histories.
    @rule(
        step=st.sampled_from(Step),
        name=st.sampled_from(NAMES),
        friend=st.sampled_from(FRIENDS),
        turns=st.integers(1, 200),
    )
    def take(self, step: Step, name: str, friend: str, turns: int) -> None:
        steps: dict[Step, Callable[[], bool]] = {
            Step.WRITE_A_FOO: lambda: self.write_a_foo(name, friend),
            Step.LABEL_A_FOO: lambda: self.label_a_foo(name, friend),
            Step.DELETE_A_FOO: lambda: self.delete_a_foo(name),
            Step.MAKE_OR_DELETE_A_POD: lambda: self.make_or_delete_a_pod(friend),
            Step.SPOIL_A_DEPENDENT: lambda: self.spoil_a_dependent(name),
            Step.DELETE_A_DEPENDENT: lambda: self.delete_a_dependent(name),
            Step.LET_IT_WORK: lambda: self.let_it_work(turns),
            Step.CUT_CONNECTIONS: self.cut_connections,
            Step.STOP_THE_OPERATOR: lambda: self.stop_the_operator(hurry=False),
            Step.END_THE_OPERATOR: lambda: self.stop_the_operator(hurry=True),
            Step.START_THE_OPERATOR: self.start_the_operator,
            Step.BE_QUIET: self.be_quiet,
        }
        self.taken[step] += steps[step]()

    async def _begin(self) -> None:
        self.client: HttpClient = await self.parts.enter_async_context(await connect(self.cluster.kubeconfig))
        await make_namespace(self.client, self.namespace)
        await self._start_operator()

    async def _start_operator(self) -> None:
        directory = self.directory / f"{self.namespace}-{next(self.numbers)}"
        operator = Operator(self.cluster.kubeconfig, directory, self.namespace, self.ledger)
        await operator.start()
        self.operator = operator

    def write_a_foo(self, name: str, friend: str) -> bool:
        known = self.model.friends.get(name)
        if name in self.model.gone or known == friend:
            return False
        if known is None:
            self.loop.run(self.client.create(self._foo(), new_foo(name, friend)))
        else:
            self.loop.run(self.client.patch(self._foo(name), {"spec": {"name": friend}}))
        self.model.looks_for(name, friend)
        return True

    def label_a_foo(self, name: str, text: str) -> bool:
        """Change what starts no run."""
        if name not in self.model.friends:
            return False
        self.loop.run(self.client.patch(self._foo(name), {"metadata": {"labels": {"mood": text}}}))
        return True

    def delete_a_foo(self, name: str) -> bool:
        if name not in self.model.friends:
            return False
        answer = self.loop.run(self.client.delete(self._foo(name)))
        del self.model.friends[name]
        # One that no operator has ever seen goes as it is.
        self.model.gone[name] = FINALIZER in answer.get("metadata", {}).get("finalizers", [])
        self.model.allowed[name] += 1
        return self.model.gone[name]

    def make_or_delete_a_pod(self, friend: str) -> bool:
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        if friend in self.model.pods:
            self.loop.run(self.client.delete(f"{path}/{friend}", params={"gracePeriodSeconds": "0"}))
            self.model.pods.remove(friend)
        else:
            self.loop.run(self.client.create(path, pod(friend)))
            self.model.pods.add(friend)
        self.model.pod_changed(friend)
        return True

    def spoil_a_dependent(self, name: str) -> bool:
        if name not in self.model.friends or not self.loop.run(self._change_config_map(name)):
            return False
        self.model.allowed[name] += 1 + OF_AN_UPDATE
        return True

    def delete_a_dependent(self, name: str) -> bool:
        if name not in self.model.friends or not self.loop.run(self._delete_config_map(name)):
            return False
        self.model.allowed[name] += 1 + self.model.of_a_list()
        return True

    def let_it_work(self, turns: int) -> bool:
        self.loop.run(_turn(turns))
        return True

    def cut_connections(self) -> bool:
        """Cut what watches and what is in flight: that is tried again."""
        if self.operator is None or self.cuts == MAX_CUTS:
            return False
        self.cuts += 1
        self.loop.run(self._cut())
        self.model.is_listed_anew()
        return True

    def start_the_operator(self) -> bool:
        if self.operator is not None:
            return False
        self.loop.run(self._start_operator())
        self.model.is_listed_anew()
        return True

    def stop_the_operator(self, *, hurry: bool) -> bool:
        """Another one may take its place at once, or only after more has changed."""
        if self.operator is None:
            return False
        self.loop.run(self._stop_operator(hurry=hurry))
        return True

    def be_quiet(self) -> bool:
        self.start_the_operator()
        self.loop.run(self._check())
        for name in self.model.gone:  # as the garbage collector would
            self.loop.run(self._delete_config_map(name))
        self.model.was_quiet()
        return True

    def teardown(self) -> None:
        try:
            self.be_quiet()
        finally:
            self.loop.run(self._stop_operator(hurry=True))
            self.loop.run(self.parts.aclose())
            self.loop.close()

    async def _check(self) -> None:
        wrong: list[str] = []

        async def is_true() -> bool:
            wrong[:] = await self._differences()
            return not wrong

        try:
            await until(is_true, "what the API server has is the truth")
        except AssertionError as error:
            raise AssertionError(f"{error}: {wrong}") from None
        # What was wanted before this one has run when it has: the queue is in order.
        last = f"last-{next(self.numbers)}"
        await self.client.create(self._foo(), new_foo(last, "nobody"))
        await until(lambda: self.ledger.runs[last] and self.ledger.is_quiet, f"{last} has run")
        assert self.ledger.overlaps == []
        counts = {name: (runs, self.model.allowed[name]) for name, runs in self.ledger.runs.items() if name in NAMES}
        too_many = [
            f"{name}: {runs} runs, {allowed} allowed" for name, (runs, allowed) in counts.items() if runs > allowed
        ]
        assert too_many == []

    async def _differences(self) -> list[str]:
        """Return what the API server has and should not, and what it has not, for people to read."""
        foos = await self._named(self._foo())
        maps = await self._named(self._config_map(""))
        existing = {name for name in foos if name in NAMES}
        found = [f"exists: {name}" for name in existing - set(self.model.friends)]
        found += [
            f"left no note: {name}"
            for name, finalized in self.model.gone.items()
            if finalized and f"{GONE}{name}" not in maps
        ]
        for name, friend in self.model.friends.items():
            found += self._differences_of(foos[name], maps.get(name), friend)
        return found

    def _differences_of(self, foo: KubeObject, dependent: KubeObject | None, friend: str) -> list[str]:
        name, status = foo["metadata"]["name"], foo.get("status", {})
        ready: KubeObject = next((each for each in status.get("conditions", []) if each["type"] == "Ready"), {})
        owners = [each["uid"] for each in (dependent or {}).get("metadata", {}).get("ownerReferences", [])]
        wanted = {
            "happy": (status.get("happy"), friend in self.model.pods),
            "Ready": (ready.get("status"), "True"),
            "generation": (ready.get("observedGeneration"), foo["metadata"]["generation"]),
            "dependent": ((dependent or {}).get("data"), {"friend": friend}),
            "owner": (owners, [foo["metadata"]["uid"]]),
        }
        return [f"{name}: {what} is {has}, not {wants}" for what, (has, wants) in wanted.items() if has != wants]

    async def _named(self, path: str) -> dict[str, KubeObject]:
        return {each["metadata"]["name"]: each for each in (await self.client.get(path))["items"]}

    async def _cut(self) -> None:
        assert self.operator is not None
        self.operator.cut()

    async def _stop_operator(self, *, hurry: bool) -> None:
        operator, self.operator = self.operator, None
        if operator is not None:
            await operator.stop(hurry=hurry)

    async def _change_config_map(self, name: str) -> bool:
        return await _found(self.client.patch(self._config_map(name), {"data": {"friend": "nobody"}}))

    async def _delete_config_map(self, name: str) -> bool:
        return await _found(self.client.delete(self._config_map(name)))

    def _foo(self, name: str = "") -> str:
        return foo_path(self.namespace, name)

    def _config_map(self, name: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/{name}".rstrip("/")


async def _turn(turns: int) -> None:
    """Let what is ready go on, so many times."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def _found(request: Awaitable[KubeObject]) -> bool:
    """Make a request; return whether there was what it is about."""
    try:
        await request
    except ApiError as error:
        if error.status != http.HTTPStatus.NOT_FOUND:
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("histories", "steps"), [(3, 20), pytest.param(20, 50, marks=pytest.mark.exhaustive)], ids=["some", "many"]
)
def test_after_any_history_the_truth_is_told_once(
    foo_cluster: Cluster, tmp_path: Path, histories: int, steps: int
) -> None:
    taken: Counter[Step] = Counter()
    machine = type("Histories", (Histories,), {"cluster": foo_cluster, "directory": tmp_path, "taken": taken})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            # A step costs a deadline where it fails, so that no history is made shorter.
            phases=(Phase.generate,),
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert histories < len(Step) or set(taken) == set(Step), "each step did something in one of so many histories"
