"""Charts as Helm renders them."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hack.node.layout import BIN, REPOSITORY

CHARTS = REPOSITORY / "charts"
KUBE_VERSION = "1.34.4"
"""Of the embedded node. Without it Helm assumes the version that it was built with."""

Manifests = list[dict[str, Any]]


class Refused(Exception):
    """Helm's own words."""


def render(
    chart: str = "raydock", *, values: Path | None = None, sets: Sequence[str] = (), apis: Sequence[str] = ()
) -> Manifests:
    """`helm template` of a chart as release `raydock` in namespace `raydock-system`. Raises Refused."""
    command = [_helm(), "template", "raydock", str(CHARTS / chart), "--namespace", "raydock-system"]
    command += ["--kube-version", KUBE_VERSION]
    command += ["--values", str(values)] if values else []
    command += [word for one in sets for word in ("--set", one)]
    command += [word for one in apis for word in ("--api-versions", one)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def notes(scratch: Path, *, sets: Sequence[str] = ()) -> str:
    """What `helm install` says at its end; only a manifest is rendered without a cluster. Raises Refused."""
    chart = shutil.copytree(CHARTS / "raydock", scratch / "raydock")
    shutil.move(chart / "templates/NOTES.txt", chart / "notes.txt")
    template = 'text: {{ tpl (.Files.Get "notes.txt") . | toJson }}\n'
    (chart / "templates/notes.yaml").write_text(template)
    (found,) = [manifest for manifest in render(str(chart), sets=sets) if manifest.keys() == {"text"}]
    return str(found["text"])


def the(manifests: Manifests, kind: str) -> dict[str, Any]:
    """The only manifest of `kind`."""
    (found,) = (one for one in manifests if one["kind"] == kind)
    return found


def _helm() -> str:
    """Path of Helm: the embedded node's, or the one on PATH."""
    found = shutil.which("helm", path=str(BIN)) or shutil.which("helm")
    assert found, "no helm: run `make node-up` once, it builds one"
    return found
