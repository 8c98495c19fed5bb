"""On the embedded node: how long a small batch job takes from its order to its first row, and to its end.

`python -m benchmarks.batch.start` with what `make env` prints; raydock is installed. With `--warm` each job
gets the Ray cluster of the one before it: the chart's settings.warmClusters.idleSeconds must be 60 or more.
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
REST_S = 10.0
"""Between two jobs: the cluster gets ready for the next one."""
CODE = """
import time
import pyarrow as pa

def predict(batch: pa.Table) -> pa.Table:
    print("first row at", time.time(), flush=True)
    return batch
"""
FIRST = re.compile(r"first row at ([0-9.]+)")


def order(there: Room, name: str) -> float:
    """Apply a job of one row; when that began."""
    spec = {
        "server": {"importPath": "app:predict"},
        "code": {"configMap": {"name": "code"}},
        "input": {"rows": [{"x": 1}]},
        "output": {"uri": f"pvc://out/{name}/"},
        "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}},
    }
    ordered = time.time()
    there.apply(API, "BatchJob", name, spec=spec)
    return ordered


def run_warm(there: Room, name: str) -> tuple[float, float]:
    """Seconds from the order to the first row, and to the status that tells of it: that of the end."""
    ordered = order(there, name)
    of_job = ("batchjobs.raydock.io", name, "-o", "jsonpath={.status.state}")
    while (state := there.kubectl("get", *of_job)) != "Succeeded":
        if state == "Failed" or time.time() - ordered > LATE_S:
            raise RuntimeError(there.kubectl("get", "batchjobs.raydock.io", name, "-o", "yaml"))
        time.sleep(POLL_S)  # looked at often enough for figures of a tenth of a second
    ended = time.time()
    log = there.kubectl("logs", "-l", "ray.io/node-type=head", "-c", "ray", "--tail=-1")
    rows = [float(at) for at in FIRST.findall(log) if float(at) >= ordered]
    if not rows:
        raise RuntimeError(f"{name} said nothing: {log[-2000:]}")
    return min(rows) - ordered, ended - ordered


def is_free(there: Room) -> bool:
    """Whether a kept cluster waits for a job."""
    told = there.kubectl("get", "rayjobs", "-l", "raydock.io/warm", "-o", "json")
    jobs = json.loads(told)["items"]
    return any("raydock.io/idle" in job["metadata"].get("annotations", {}) for job in jobs)


def warm(there: Room, count: int) -> list[tuple[float, float]]:
    """`count` jobs, after one that makes the cluster."""
    took = []
    for number in range(count + 1):
        took.append(run_warm(there, f"job-{number}"))
        ended = time.time()
        while not is_free(there) or time.time() - ended < REST_S:
            if time.time() - ended > LATE_S:
                raise RuntimeError("no cluster is kept: set settings.warmClusters.idleSeconds")
            time.sleep(POLL_S)  # an annotation of Kubernetes, asked for by kubectl: nothing to wait on
    print(f"{'the first, cold':22} {took[0][0]:6.2f} s")
    return took[1:]


def run(there: Room, name: str) -> tuple[float, float, float]:
    """Seconds until the cluster is up, from there to the first row, and from the order to the end."""
    ordered = order(there, name)
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
    wanted.add_argument("--warm", action="store_true", help="each job in the cluster of the one before it")
    given = wanted.parse_args()
    with room(NAMESPACE) as there:
        there.apply("v1", "ConfigMap", "code", data={"app.py": CODE})
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        there.apply("v1", "PersistentVolumeClaim", "out", spec=claim)
        took: list[tuple[float, ...]]
        if given.warm:
            names: tuple[str, ...] = ("first row", "told of, the end")
            took = [*warm(there, given.jobs)]
        else:
            names = ("cluster up", "first row after that", "the end")
            took = [run(there, f"job-{number}") for number in range(given.jobs)]
    for name, figures in zip(names, zip(*took, strict=True), strict=True):
        every = json.dumps([round(figure, 2) for figure in figures])
        print(f"{name:22} {median(figures):6.2f} s  {every}")


if __name__ == "__main__":
    main()
