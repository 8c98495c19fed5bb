"""Keys are replaced without a failed request, by callers who take the new one the moment it is published."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.calls import Load, ask
from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import SYSTEM, install

pytestmark = pytest.mark.e2e
IEP = "inferenceendpoints.raydock.io"
ROLE = "raydock-operator"
log = logging.getLogger(__name__)


def rotate(cluster: Cluster, value: str) -> None:
    cluster.kubectl("annotate", "--overwrite", IEP, "iris", f"raydock.io/rotate={value}")


def generation(cluster: Cluster) -> int:
    """Counts the changes of the keys."""
    found = cluster.get(IEP, "iris") or {}
    return int(found["status"]["keysSecret"]["generation"])


@contextmanager
def annotating(cluster: Cluster, *, allowed: bool) -> Iterator[None]:
    """Whether the operator's role lets it annotate pods, while the context is open."""
    if allowed:
        yield
        return
    role = json.loads(cluster.run("kubectl", "get", "clusterrole", ROLE, "-o", "json").stdout)
    (rule,) = (rule for rule in role["rules"] if rule["resources"] == ["pods"] and "patch" in rule["verbs"])
    rule["verbs"].remove("patch")
    try:
        cluster.run("kubectl", "replace", "-f", "-", stdin=json.dumps(role))
        yield
    finally:
        install(cluster)


@pytest.mark.parametrize(
    ("allowed", "within_s"),
    [
        pytest.param(True, 5, id="annotated"),
        pytest.param(False, 90, id="not annotated", marks=pytest.mark.slow),
    ],
)
def test_a_replaced_key_is_refused_soon_and_the_new_one_is_never(
    iris: Cluster, within_s: int, *, allowed: bool
) -> None:
    url, old, other = iris.url("iris"), iris.key("iris"), iris.key("iris", "secondary")
    with annotating(iris, allowed=allowed), Load(url, old) as load:
        rotate(iris, f"primary:{time.time()}")
        began = time.monotonic()

        def new_key() -> str | None:
            key = iris.key("iris")
            return key if key != old else None

        load.key = until(new_key, 150, "new key")  # the callers take it the moment it is published
        published = time.monotonic()
        assert ask(url, load.key).status == 200
        until(lambda: ask(url, old).status == 401, within_s, "refusal of the old key")
        log.info(
            "published after %.1f s, the old one was refused %.1f s later",
            published - began,
            time.monotonic() - published,
        )
    assert not load.failed, load.told()
    assert ask(url, other).status == 200
    if not allowed:
        told = iris.kubectl("get", "events", "--field-selector", "reason=PodsNotAnnotated", "-o", "name")
        assert told.strip(), "somebody has to learn why it takes so long"


def test_the_annotation_may_stay_where_git_has_it(iris: Cluster) -> None:
    """Applied again and again, as Argo CD does it, and over a new operator: one rotation for one value."""
    before = generation(iris)
    value = f"secondary:{time.time()}"
    rotate(iris, value)
    until(lambda: generation(iris) == before + 1, 60, "the rotation")
    keys = (iris.key("iris"), iris.key("iris", "secondary"))
    for _ in range(3):
        rotate(iris, value)
    iris.run("kubectl", "--namespace", SYSTEM, "rollout", "restart", f"deployment/{ROLE}")
    iris.run("kubectl", "--namespace", SYSTEM, "rollout", "status", f"deployment/{ROLE}", "--timeout=120s")
    iris.kubectl("annotate", "--overwrite", IEP, "iris", f"example.com/look={time.time()}")
    iris.wait("inferenceendpoints", "iris", timeout_s=120)
    assert generation(iris) == before + 1
    assert (iris.key("iris"), iris.key("iris", "secondary")) == keys
    found = iris.get(IEP, "iris") or {}
    assert found["metadata"]["annotations"]["raydock.io/rotate"] == value, "the annotation is the user's"
