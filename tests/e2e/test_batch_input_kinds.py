"""Each kind of input and each conversion on the node: the output is what Python makes of the same files."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch.verify import verify
from tests.e2e import kinds_data, kinds_model
from tests.e2e.cluster import Cluster, light, until
from tests.e2e.kinds_cases import KINDS, Kind

pytestmark = pytest.mark.e2e
JOBS = "batchjobs.raydock.io"
CODE = "kinds-code"
ROWS_PER_FILE = 400
SLOW = {"files-bytes", "files-base64", "files-path"}
"""Listed files as `files-url` has them, in forms that `rows` has too: for `make test` alone."""
ALL_S = 1500.0
"""For all jobs: those without room wait for those that have some."""


@pytest.fixture(scope="module")
def ended(iris: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The jobs of all tests that were chosen, applied at once and come to their ends."""
    kinds = chosen(request.session)
    names = [job_name(kind) for kind in kinds]
    iris.delete(JOBS, *names)
    for folder in ("kinds", "kinds-out"):
        shutil.rmtree(iris.volume("iris") / folder, ignore_errors=True)
    kinds_data.write(iris.volume("iris") / "kinds")
    code = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CODE, "namespace": iris.namespace},
        "data": {"kinds_model.py": Path(kinds_model.__file__).read_text()},
    }
    iris.apply(code, *(job(iris, kind) for kind in kinds))

    def states() -> dict[str, str]:
        found = {one["metadata"]["name"]: one.get("status", {}).get("state", "") for one in iris.all(JOBS)}
        return {name: found[name] for name in names}

    until(lambda: set(states().values()) <= {"Succeeded", "Failed"}, ALL_S, "end of all jobs", states)
    yield iris
    iris.delete(JOBS, *names)


def chosen(session: pytest.Session) -> list[Kind]:
    """Those whose tests run."""
    found = (item.callspec.params.get("kind") for item in session.items if hasattr(item, "callspec"))
    return [kind for kind in found if isinstance(kind, Kind)]


def job_name(kind: Kind) -> str:
    return f"kind-{kind.name}"


def job(cluster: Cluster, kind: Kind) -> dict[str, Any]:
    return light(
        {
            "apiVersion": "raydock.io/v1alpha1",
            "kind": "BatchJob",
            "metadata": {"name": job_name(kind), "namespace": cluster.namespace},
            "spec": {
                "server": {"importPath": f"kinds_model:{kind.model}"},
                "code": {"configMap": {"name": CODE}},
                "input": kind.input,
                "output": {
                    "uri": f"pvc://iris/kinds-out/{kind.name}/",
                    "carry": list(kind.carry),
                    "maxRowsPerFile": ROWS_PER_FILE,
                },
                "maxBatchRows": 64,
                # Three of them fit: more that start at once on two cores outlast Ray's own patience.
                "resources": {"requests": {"cpu": "300m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": 0,  # its room is the next one's
                **kind.spec,
            },
        }
    )


@pytest.mark.parametrize(
    "kind",
    [pytest.param(one, marks=pytest.mark.slow if one.name in SLOW else (), id=one.name) for one in KINDS],
)
def test_the_output_is_what_python_makes_of_the_files(kind: Kind, ended: Cluster) -> None:
    found = ended.get(JOBS, job_name(kind))
    assert found
    assert found["status"]["state"] == "Succeeded", found["status"]
    folder = ended.volume("iris") / "kinds-out" / kind.name
    assert verify(folder) == []
    success = json.loads((folder / "_SUCCESS").read_text())
    got = pa.concat_tables(pq.read_table(folder / file["path"]) for file in success["files"])
    want = kind.direct(ended.volume("iris") / "kinds")
    assert got.column_names == want.column_names
    for name in want.column_names:
        assert got[name].type == want[name].type, name
        assert got[name].to_pylist() == want[name].to_pylist(), name
    assert success["rows"] == found["status"]["output"]["rows"] == want.num_rows > 0
    assert found["status"]["progress"]["rowsDone"] == found["status"]["progress"]["rowsTotal"]
