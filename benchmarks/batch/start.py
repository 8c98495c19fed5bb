"""On the embedded node: how long a small batch job takes from its order to its first row, and to its end.

`python -m benchmarks.batch.start` with what `make env` prints; raydock is installed.
"""

import argparse
import json
import re
import subprocess
import time
from statistics import median

from benchmarks.node import API, Room, room

NAMESPACE = "bench-batch"
POLL_S = 0.1
LATE_S = 300.0
CODE = """
import time
import pyarrow as pa

def predict(batch: pa.Table) -> pa.Table:
    print("first row at", time.time(), flush=True)
    return batch
"""
FIRST = re.compile(r"first row at ([0-9.]+)")


def run(there: Room, name: str) -> tuple[float, float, float]:
    """Seconds until the cluster is up, from there to the first row, and from the order to the end."""
    spec = {
        "server": {"importPath": "app:predict"},
        "code": {"configMap": {"name": "code"}},
        "input": {"rows": [{"x": 1}]},
        "output": {"uri": f"pvc://out/{name}/"},
        "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}},
    }
    ordered = time.time()
    there.apply(API, "BatchJob", name, spec=spec)
    up = ended = 0.0
    while not ended:
        if time.time() - ordered > LATE_S:
            raise RuntimeError(there.kubectl("get", "batchjobs.raydock.io", name, "-o", "yaml"))
        states = there.kubectl("get", "rayclusters", "-o", "jsonpath={.items[*].status.state}")
        up = up or ("ready" in states.split()) * time.time()
        state = there.kubectl("get", "batchjobs.raydock.io", name, "-o", "jsonpath={.status.state}")
        if state == "Failed":
            raise RuntimeError(there.kubectl("get", "batchjobs.raydock.io", name, "-o", "yaml"))
        ended = (state == "Succeeded") * time.time()
        time.sleep(POLL_S)  # both are looked at often enough for figures of a tenth of a second
    log = there.kubectl("logs", "-l", f"raydock.io/batchjob={name}", "-c", "ray", "--tail=-1")
    found = FIRST.search(log)
    if found is None:
        raise RuntimeError(f"{name} said nothing: {log[-2000:]}")
    there.kubectl("delete", "batchjobs.raydock.io", name)
    subprocess.run(
        ["kubectl", "-n", there.namespace, "wait", "--for=delete", "pods", "--all", "--timeout=120s"],
        check=True,
    )
    return up - ordered, float(found[1]) - up, ended - ordered


def main() -> None:
    """Print the medians and all figures."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--jobs", type=int, default=5)
    given = wanted.parse_args()
    with room(NAMESPACE) as there:
        there.apply("v1", "ConfigMap", "code", data={"app.py": CODE})
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        there.apply("v1", "PersistentVolumeClaim", "out", spec=claim)
        took = [run(there, f"job-{number}") for number in range(given.jobs)]
    for name, figures in zip(
        ("cluster up", "first row after that", "the end"), zip(*took, strict=True), strict=True
    ):
        every = json.dumps([round(figure, 2) for figure in figures])
        print(f"{name:22} {median(figures):6.2f} s  {every}")


if __name__ == "__main__":
    main()
