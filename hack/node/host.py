"""What the machine lacks: Debian's packages, and pip in a folder of our own."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from hack.node.command import output, run, succeeds
from hack.node.failure import NodeError
from hack.node.layout import CACHE
from hack.node.versions import pinned

TOOLS = CACHE / "tools"
"""A virtual environment with nothing but pip, so that the machine's own Python stays as it is."""


def require_root() -> None:
    """Raises NodeError unless this is root on a Linux that the node was built for."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise NodeError(
            "host", f"the node runs on Linux x86_64, this is {platform.system()} {platform.machine()}"
        )
    if os.geteuid() != 0:
        raise NodeError("host", "namespaces, mounts and routes need root: run it as root or with sudo -E")


def ensure_packages(section: str = "packages") -> list[str]:
    """Installs what is missing of `[debian.<section>]`; returns the names that it installed.

    Raises NodeError when a version is not the pinned one, on the suite that the pins are for.
    """
    wanted: dict[str, str] = pinned()["debian"][section]
    missing = [name for name in wanted if not _installed(name)]
    if missing:
        if shutil.which("apt-get") is None:
            raise NodeError("host", f"no apt-get here: install {' '.join(missing)} by hand")
        apt = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-qq"], component="apt", env=apt)
        run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], component="apt", env=apt
        )
    if _suite() == pinned()["debian"]["suite"]:
        for name, version in wanted.items():
            found = _installed(name)
            if not found.startswith(version):
                raise NodeError(
                    "host", f"{name} is {found}, versions.toml says {version}*: make them the same"
                )
    return missing


def pip(*args: str | Path) -> str:
    """Runs pip, with the machine's own pip settings. Makes its folder first."""
    python = TOOLS / "bin" / "python"
    if not (python.exists() and succeeds([python, "-m", "pip", "--version"])):
        make_venv(TOOLS)
    return run([python, "-m", "pip", "--disable-pip-version-check", "--quiet", *args], component="pip")


def make_venv(folder: Path) -> None:
    """A new virtual environment with pip, of the Python that runs this."""
    if not succeeds([sys.executable, "-c", "import ensurepip"]):  # Debian has it in a package of its own
        ensure_packages("python")
    shutil.rmtree(folder, ignore_errors=True)
    run([sys.executable, "-m", "venv", folder], component="venv")


def _installed(package: str) -> str:
    """The upstream version of an installed Debian package, or an empty string."""
    state = output(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package])
    status, _, version = state.partition(" ")
    return version.rpartition(":")[2] if status == "installed" else ""


def _suite() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2]
    return ""
