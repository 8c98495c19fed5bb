"""Many race for nodes: whatever comes in which order, no room is given twice, nobody waits beside free room.

The gate, its wake-ups and its reservations are the real ones; the cluster around them is a simulation that
delivers events late, binds pods where it likes, takes objects away and changes the leader.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from raydock.capacity.demand import Demand, Owner, shapes_of
from raydock.facts.node import node
from raydock.facts.pod import pod
from raydock.facts.raycluster import groups
from raydock.reconcile.deps import Key
from raydock.reconcile.gate import Gate
from raydock.reconcile.wake import keys
from raydock.runtime.store import Store

T = TypeVar("T")
NOW = datetime(2026, 5, 4, tzinfo=UTC)
NS = "demo"
CLUSTER_FIELD = {"RayService": "rayClusterConfig", "RayJob": "rayClusterSpec"}
OURS = {"app.kubernetes.io/managed-by": "raydock"}


def at_once(ask: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits: so a count cannot be interrupted."""
    try:
        ask.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("counting awaited something")


def cluster_spec(cpus: int, pods: int) -> dict[str, Any]:
    """A Ray cluster with `pods` pods of `cpus` CPUs, the head one of them."""
    container = {"name": "ray", "resources": {"requests": {"cpu": str(cpus), "memory": "1Gi"}}}
    template = {"template": {"spec": {"containers": [container]}}}
    worker = {**template, "groupName": "w", "replicas": pods - 1}
    return {"headGroupSpec": template, "workerGroupSpecs": [worker] if pods > 1 else []}


@dataclass
class World:
    """The API server, and everybody who acts on it but the operator."""

    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """By kind and name."""
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Not delivered yet: type and object."""
    version: int = 0

    def write(self, kind: str, name: str, **fields: Any) -> dict[str, Any]:
        before = self.objects.get((kind, name))
        self.version += 1
        metadata = {
            "name": name,
            "namespace": "" if kind == "Node" else NS,
            "uid": before["metadata"]["uid"] if before else f"{name}-{self.version}",
            "resourceVersion": str(self.version),
            "generation": 1,
            **fields.pop("metadata", {}),
        }
        obj = {"apiVersion": "x", "kind": kind, **(before or {}), **fields}
        obj["metadata"] = {**(before or {"metadata": {}})["metadata"], **metadata}
        self.objects[kind, name] = obj
        self.events.append(("MODIFIED", obj))
        return obj

    def remove(self, kind: str, name: str) -> None:
        obj = self.objects.pop((kind, name), None)
        if obj is not None:
            self.events.append(("DELETED", obj))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [obj for (other, _), obj in self.objects.items() if other == kind]

    def owned(self, kind: str, uid: str) -> list[dict[str, Any]]:
        return [o for o in self.of(kind) if any(r["uid"] == uid for r in o["metadata"]["ownerReferences"])]

    def free(self) -> dict[str, int]:
        """CPUs that no pod has, by node."""
        left = {n["metadata"]["name"]: int(n["status"]["allocatable"]["cpu"]) for n in self.of("Node")}
        for bound in self.of("Pod"):
            if bound["spec"].get("nodeName"):
                left[bound["spec"]["nodeName"]] -= cpus(bound)
        return left

    def kuberay(self) -> bool:
        """One step of KubeRay: a cluster for a service, or the pods of a cluster. Whether there was any."""
        for parent in (*self.of("RayService"), *self.of("RayJob")):
            if not self.owned("RayCluster", parent["metadata"]["uid"]):
                name = f"{parent['metadata']['name']}-c{self.version}"
                self.write("RayCluster", name, spec=cluster_of(parent), metadata=of(parent))
                return True
        for cluster in self.of("RayCluster"):
            if not self.owned("Pod", cluster["metadata"]["uid"]):
                self._pods(cluster)
                return True
        return False

    def _pods(self, cluster: dict[str, Any]) -> None:
        name = cluster["metadata"]["name"]
        for group in groups(cluster["spec"]):
            for number in range(group.pods):
                role = {"ray.io/cluster": name, "ray.io/group": group.name}
                if group.is_head:
                    role["ray.io/node-type"] = "head"
                asks = {"cpu": f"{group.spec.requests.cpu_m}m", "memory": "1Gi"}
                spec = {"containers": [{"name": "ray", "resources": {"requests": asks}}]}
                own = {**of(cluster), "labels": role}
                self.write("Pod", f"{name}-{group.name}-{number}", spec=spec, metadata=own)

    def places(self) -> list[tuple[dict[str, Any], str]]:
        """Pods without a node, each with a node that could take it."""
        free = self.free()
        waiting = [p for p in self.of("Pod") if not p["spec"].get("nodeName")]
        return [(p, name) for p in waiting for name in sorted(free) if cpus(p) <= free[name]]

    def bind(self, unbound: dict[str, Any], to: str) -> None:
        spec = {**unbound["spec"], "nodeName": to}
        self.write("Pod", unbound["metadata"]["name"], spec=spec, status={"phase": "Running"})


def of(owner: dict[str, Any]) -> dict[str, Any]:
    """Metadata of a child."""
    ref = {"kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    return {"ownerReferences": [{**ref, "controller": True}], "labels": OURS}


def cluster_of(parent: dict[str, Any]) -> Any:
    return parent["spec"][CLUSTER_FIELD[parent["kind"]]]


def cpus(obj: dict[str, Any]) -> int:
    return pod(obj).requests.cpu_m // 1000


class Races(RuleBasedStateMachine):
    """Each rule is one thing that can happen next."""

    nodes: tuple[int, ...] = (8,)
    sizes: tuple[int, ...] = (1, 2, 3, 5)
    """CPUs of a pod. On one node any; on several all alike, or the scheduler's choice decides what fits."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.due: list[Key] = []
        self.allowed: list[tuple[Demand, dict[str, Any]]] = []
        """Admitted, and not written yet."""
        self.lead()

    @initialize()
    def begin(self) -> None:
        for number, cpu in enumerate(self.nodes):
            self.add_node(f"n{number}", cpu)

    def add_node(self, name: str, cpu: int) -> None:
        ready = [{"type": "Ready", "status": "True"}]
        amounts = {"cpu": str(cpu), "memory": "999Gi", "pods": "110"}
        self.world.write("Node", name, status={"allocatable": amounts, "conditions": ready})

    def lead(self) -> None:
        """A new leader: it knows what it reads, and looks at everything once."""
        self.store = Store({"Pod": pod, "Node": node})
        self.gate = Gate("cluster", self.store, lambda: NOW, wake=self.wake)
        self.world.events.clear()
        self.allowed.clear()
        for (kind, _), obj in self.world.objects.items():
            self.store.put(kind, obj)
        self.due = [Key(k, NS, n) for k, n in self.world.objects if k in ("Deployment", "BatchJob")]

    def wake(self, key: Key) -> None:
        if key not in self.due:
            self.due.append(key)

    @rule()
    def change_leader(self) -> None:
        self.lead()

    @precondition(lambda self: len(self.world.of("Deployment") + self.world.of("BatchJob")) < 8)
    @rule(data=st.data(), name=st.sampled_from("abcdef"), pods=st.integers(1, 3), job=st.booleans())
    def arrive(self, data: st.DataObject, name: str, pods: int, job: bool) -> None:
        kind = "BatchJob" if job else "Deployment"
        if (kind, name) not in self.world.objects:
            cpu = data.draw(st.sampled_from(self.sizes))
            self.world.write(kind, name, spec={"cpus": cpu, "pods": pods})

    @precondition(lambda self: self.world.of("Deployment") or self.world.of("BatchJob"))
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        """The garbage collector is quick here: an object takes all of its own along."""
        cr = data.draw(st.sampled_from(self.world.of("Deployment") + self.world.of("BatchJob")))
        self.world.remove(cr["kind"], cr["metadata"]["name"])
        left = [cr["metadata"]["uid"]]
        for kind in ("RayService", "RayJob", "RayCluster", "Pod"):
            for child in [c for uid in left for c in self.world.owned(kind, uid)]:
                left.append(child["metadata"]["uid"])
                self.world.remove(kind, child["metadata"]["name"])

    @precondition(lambda self: self.world.events)
    @rule(count=st.integers(1, 5))
    def deliver(self, count: int) -> None:
        for _ in range(min(count, len(self.world.events))):
            kind, obj = self.world.events.pop(0)
            change = (
                self.store.remove(obj["kind"], obj) if kind == "DELETED" else self.store.put(obj["kind"], obj)
            )
            if change is not None:
                woken = keys(obj["kind"], change.new, change.old, self.store, self.gate)
                for key in sorted(woken):
                    self.wake(key)

    @precondition(lambda self: self.due)
    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """One pass, up to the write."""
        self.pass_over(self.due.pop(data.draw(st.integers(0, len(self.due) - 1))))

    def pass_over(self, key: Key) -> None:
        cr = self.store.get(*key)
        if cr is None:
            self.gate.gone(key)
            return
        child = "RayJob" if key.kind == "BatchJob" else "RayService"
        if self.store.owned_by(child, cr["metadata"]["uid"]):
            self.gate.withdraw(key, cr["metadata"]["uid"])
            return
        spec = cluster_spec(cr["spec"]["cpus"], cr["spec"]["pods"])
        owner = Owner(*key, cr["metadata"]["uid"])
        demand = Demand(owner, shapes_of(groups(spec)), "create")
        if at_once(self.gate.ask(demand)).allowed:
            self.allowed = [entry for entry in self.allowed if entry[0].owner != owner]
            self.allowed.append((demand, {"kind": child, "spec": {CLUSTER_FIELD[child]: spec}}))

    @precondition(lambda self: self.allowed)
    @rule(data=st.data(), told=st.booleans())
    def write(self, data: st.DataObject, told: bool) -> None:
        """What was admitted is applied; with `told` the store has the answer at once, as in a real pass."""
        self.apply(data.draw(st.integers(0, len(self.allowed) - 1)), told)

    def apply(self, which: int, told: bool) -> None:
        demand, child = self.allowed.pop(which)
        owner = demand.owner
        cr = self.world.objects.get((owner.kind, owner.name))
        if cr is None or cr["metadata"]["uid"] != owner.uid:
            self.due.append(Key(owner.kind, NS, owner.name))  # its write fails: the owner is gone
            return
        name = f"{owner.name}-{child['kind'].lower()}"
        live = self.world.write(child["kind"], name, spec=child["spec"], metadata=of(cr))
        self.gate.applied(owner.uid, live)
        if told:
            self.store.put(child["kind"], live)

    @rule()
    def kuberay(self) -> None:
        self.world.kuberay()

    @precondition(lambda self: self.world.places())
    @rule(data=st.data())
    def schedule(self, data: st.DataObject) -> None:
        self.world.bind(*data.draw(st.sampled_from(self.world.places())))

    @precondition(lambda self: len(self.world.of("Node")) < 4)
    @rule()
    def a_node_comes(self) -> None:
        if len(self.nodes) > 1:
            self.add_node(f"n{len(self.world.of('Node'))}", self.nodes[0])

    @invariant()
    def nothing_was_promised_twice(self) -> None:
        """All that was let start, and may still start, has room together."""
        room = sum(int(n["status"]["allocatable"]["cpu"]) for n in self.world.of("Node"))
        started = [cluster_of(p) for kind in CLUSTER_FIELD for p in self.world.of(kind)]
        taken = sum(g.pods * g.spec.requests.cpu_m // 1000 for spec in started for g in groups(spec))
        assert taken <= room

    @override
    def teardown(self) -> None:
        """Left to itself everything settles, and whoever waits then waits for room that is not there."""
        for _ in range(2000):
            if self.allowed:
                self.apply(0, told=True)
            elif self.world.events:
                self.deliver(1)
            elif self.due:
                self.pass_over(self.due.pop(0))
            elif not self.world.kuberay():
                places = self.world.places()
                if not places:
                    break
                self.world.bind(*places[0])
        assert not [p for p in self.world.of("Pod") if not p["spec"].get("nodeName")], (
            "let start without room"
        )
        free = self.world.free()
        for cr in self.world.of("Deployment") + self.world.of("BatchJob"):
            key = Key(cr["kind"], NS, cr["metadata"]["name"])
            child = "RayJob" if key.kind == "BatchJob" else "RayService"
            if not self.world.owned(child, cr["metadata"]["uid"]):
                assert key in self.gate.waiting, "forgotten"
                fits = sum(left // cr["spec"]["cpus"] for left in free.values())
                assert fits < cr["spec"]["pods"], "waits beside free room"


class OnOneNode(Races):
    """Pods of any size; what fits in sum fits."""


class OnSeveralNodes(Races):
    """Pods of one size, wherever the scheduler puts them."""

    nodes = (5, 3, 4)
    sizes = (2,)


RUNS = settings(max_examples=40, stateful_step_count=40, deadline=None)
OnOneNode.TestCase.settings = RUNS
OnSeveralNodes.TestCase.settings = RUNS
TestOnOneNode = OnOneNode.TestCase
TestOnSeveralNodes = OnSeveralNodes.TestCase
