"""The images' base where no registry is in reach: Debian's Python in a rootfs made by debootstrap."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from hack.node.command import Arg, output, run, succeeds
from hack.node.failure import NodeError
from hack.node.layout import CACHE, REPOSITORY
from hack.node.progress import Progress
from hack.node.versions import pinned

PACKAGES = ("python3", "python3-pip", "ca-certificates", "bash", "wget", "procps")
"""As the python image has, and what KubeRay's probes call."""

UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian")
"""Nobody reads manuals in a pod: more than half of the rootfs."""


def ensure_base(progress: Progress) -> str:
    """The name of the base image in buildah's store; makes it when it is not there."""
    suite, python = pinned()["images"]["suite"], pinned()["images"]["python"]
    dockerfile = REPOSITORY / "images" / "base" / "Dockerfile"
    key = hashlib.sha256(f"{suite} {PACKAGES} {UNUSED} {dockerfile.read_text()}".encode()).hexdigest()[:12]
    name = f"localhost/python-{python}-{suite}:{key}"
    if succeeds(["buildah", "inspect", "--type", "image", name]):
        return name
    with progress.step(f"base image: {suite} by debootstrap"):
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            context = Path(scratch)
            _rootfs(suite, context / "rootfs")
            pack: list[Arg] = ["tar", "--numeric-owner", "--sort=name", "-C", context / "rootfs"]
            skipped = [f"--exclude=./{folder}/*" for folder in ("dev", "proc", "sys")]
            run([*pack, *skipped, "-cf", context / "rootfs.tar", "."])
            build = ["buildah", "bud", "--isolation", "chroot", "--format", "oci", "--timestamp", "0"]
            run([*build, "-f", dockerfile, "-t", name, context], component="buildah")
    return name


def mirror() -> str:
    """Where this machine gets Debian from, by apt's own word."""
    told = output(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"])
    for line in told.splitlines():
        origin, _, uri = line.partition(" ")
        if origin == "Debian" and "security" not in uri:
            return uri
    raise NodeError(
        "debootstrap", "apt knows no Debian repository: run apt-get update, or add one to its sources"
    )


def _rootfs(suite: str, target: Path) -> None:
    include = f"--include={','.join(PACKAGES)}"
    run(["debootstrap", "--variant=minbase", include, suite, target, mirror()], component="debootstrap")
    for name in UNUSED:
        shutil.rmtree(target / name)
    for folder in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
        for path in (target / folder).rglob("*"):
            if path.is_file():
                path.unlink()
    # the image is nobody's Debian to break: pip may install into it, as into the python image
    for mark in target.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        mark.unlink()
    (target / "usr/local/bin/python").symlink_to("/usr/bin/python3")
