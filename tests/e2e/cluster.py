"""The embedded node as a user has it: kubectl, helm, the gateway's URL and the volume's files."""

import json
import os
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
QUICKSTART = EXAMPLES / "quickstart"
POLL_S = 0.5
OURS = "raydock.io"


class Late(AssertionError):
    """Something that was awaited did not happen; the message holds what was seen last."""


def until(
    test: Callable[[], T | None], timeout_s: float, what: str, seen: Callable[[], object] | None = None
) -> T:
    """The first truthy answer of `test`. The only place of these tests that polls."""
    end = time.monotonic() + timeout_s
    while True:
        found = test()
        if found:
            return found
        if time.monotonic() > end:
            raise Late(f"no {what} within {timeout_s:.0f} s" + (f": {seen()}" if seen else ""))
        time.sleep(POLL_S)


@dataclass(frozen=True)
class Cluster:
    """One namespace of the node."""

    env: Mapping[str, str]
    """PATH and KUBECONFIG."""
    namespace: str
    images: Mapping[str, str]
    """OPERATOR_IMAGE and RUNTIME_IMAGE."""

    def run(
        self, *command: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """A command with the node's kubectl and helm on PATH."""
        environment = {**os.environ, **self.env}  # noqa: TID251 - a child's environment, no setting
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        """kubectl in this namespace; its standard output."""
        return self.run("kubectl", "--namespace", self.namespace, *args, stdin=stdin, check=check).stdout

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The object, or None."""
        text = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text else None

    def all(self, kind: str, *args: str) -> list[dict[str, Any]]:
        """All objects of a kind in this namespace."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-o", "json", *args))["items"]
        return found

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """kubectl apply."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def refused(self, manifest: str) -> str:
        """What kubectl says to a manifest that must not be taken."""
        done = self.run(
            "kubectl", "--namespace", self.namespace, "apply", "-f", "-", stdin=manifest, check=False
        )
        assert done.returncode, f"was taken: {manifest}"
        return done.stderr

    def delete(self, kind: str, *names: str) -> None:
        """Delete, and wait until they are gone."""
        self.kubectl("delete", f"{kind}", *names, "--ignore-not-found", "--timeout", "120s")

    def condition(self, kind: str, name: str, type_: str) -> dict[str, Any]:
        """A condition of an object of ours; empty when it isn't there."""
        obj = self.get(f"{kind}.{OURS}", name) or {}
        return next((c for c in obj.get("status", {}).get("conditions", []) if c["type"] == type_), {})

    def wait(
        self, kind: str, name: str, type_: str = "Ready", status: str = "True", timeout_s: int = 300
    ) -> None:
        """Until the condition says so about the newest spec, as kubectl wait does it."""
        self.until_condition(kind, name, type_, timeout_s, lambda c: c.get("status") == status)

    def until_condition(
        self, kind: str, name: str, type_: str, timeout_s: float, test: Callable[[Mapping[str, Any]], bool]
    ) -> dict[str, Any]:
        """The condition, once `test` holds for it and it speaks of the newest spec."""

        def found() -> dict[str, Any] | None:
            obj = self.get(f"{kind}.{OURS}", name) or {}
            generation = obj.get("metadata", {}).get("generation")
            condition = self.condition(kind, name, type_)
            fresh = obj.get("status", {}).get("observedGeneration") == generation
            return condition if fresh and condition and test(condition) else None

        return until(
            found,
            timeout_s,
            f"{type_} of {kind} {name}",
            lambda: json.dumps((self.get(f"{kind}.{OURS}", name) or {}).get("status", {}).get("conditions")),
        )

    def key(self, endpoint: str, slot: str = "primary") -> str:
        """A key of an endpoint."""
        secret = self.get("secret", f"{endpoint}-keys")
        assert secret, f"no Secret {endpoint}-keys"
        return b64decode(secret["data"][slot]).decode()

    def url(self, endpoint: str) -> str:
        """status.url."""
        obj = self.get(f"inferenceendpoints.{OURS}", endpoint)
        assert obj
        url: str = obj["status"]["url"]
        return url

    def volume(self, claim: str) -> Path:
        """Where the claim's files lie on this machine: its provisioner is local."""
        bound = self.get("pvc", claim)
        assert bound
        volume = json.loads(
            self.run("kubectl", "get", "pv", bound["spec"]["volumeName"], "-o", "json").stdout
        )
        source = volume["spec"].get("local") or volume["spec"]["hostPath"]
        return Path(source["path"])

    def heads(self, label: str, value: str) -> list[dict[str, Any]]:
        """Head pods of a Deployment (label raydock.io/deployment) or BatchJob (raydock.io/batchjob)."""
        return self.all("pods", "-l", f"{OURS}/{label}={value},ray.io/node-type=head")


def examples(namespace: str, images: Mapping[str, str], *paths: str) -> Iterator[dict[str, Any]]:
    """The objects of these files in examples/, in another namespace and with the image built here."""
    for path in paths:
        text = (EXAMPLES / path).read_text()
        public = "ghcr.io/raydock/raydock-runtime:0.1.0"
        for obj in yaml.safe_load_all(text.replace(public, images["RUNTIME_IMAGE"])):
            if obj["kind"] == "Namespace":
                obj["metadata"]["name"] = namespace
            else:
                obj["metadata"]["namespace"] = namespace
            yield light(obj)


def light(obj: dict[str, Any]) -> dict[str, Any]:
    """`obj` with less CPU set aside for Ray, so that two cores hold what the tests run beside each other."""
    if obj["apiVersion"] == f"{OURS}/v1alpha1" and obj["kind"] in {"Deployment", "BatchJob"}:
        requests = {"cpu": "100m", "memory": "1536Mi"}
        obj["spec"]["headResources"] = {"requests": requests, "limits": {"memory": "2560Mi"}}
    return obj
