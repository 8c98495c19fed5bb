"""Where outputs lie, and how their storage is made to fail and to work again."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raydock.batch.object_storage import ObjectStorage
from raydock.batch.storage import PosixStorage, Storage
from tests.chaos import inside
from tests.chaos.inside import Fault
from tests.chaos.proxy import Proxy
from tests.chaos.scenario import Deed, Mishap, Place
from tests.kit.object_store import BUCKET, Server

DISK_MIB: Final = 24
BALLAST: Final = "ballast"
PIECE: Final = bytes(1 << 16)


@dataclass(frozen=True)
class Output:
    """One run's."""

    uri: str
    variables: Mapping[str, str]
    """Of the driver's environment."""
    open: Callable[[str], Storage]
    """Undisturbed, with that folder for drafts."""
    spoil: Callable[[int, Mishap], None]
    """Let mishap number so-and-so begin."""
    mend: Callable[[], None]
    """End what lasts: a full disk, a store that is down."""


@contextmanager
def at(place: Place, claims: Path, server: Server, proxy: Proxy) -> Iterator[Output]:
    """An output at `place`, empty; `claims` is the folder of the run's volumes."""
    match place:
        case Place.BUCKET:
            try:
                yield _bucket(claims.name, server, proxy)
            finally:
                proxy.calm()
        case Place.FOLDER:
            (claims / "data").mkdir(exist_ok=True)
            yield _folder("pvc://data/out/", claims / "data" / "out", claims)
        case Place.DISK:
            with _mounted(claims / "disk"):
                yield _folder("pvc://disk/out/", claims / "disk" / "out", claims)


def can_mount() -> bool:
    """Whether this process may mount a file system."""
    tried = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"]
    found = shutil.which("unshare") is not None
    return found and subprocess.run(tried, check=False, capture_output=True).returncode == 0


def _bucket(name: str, server: Server, proxy: Proxy) -> Output:
    uri = f"s3://{BUCKET}/{name}/"

    def spoil(_: int, mishap: Mishap) -> None:
        if mishap.deed is Deed.DOWN:
            proxy.go_down()
        else:
            proxy.disturb(Fault(mishap.deed, mishap.delay_s), mishap.times)

    return Output(
        uri,
        server.variables(proxy.port),
        lambda drafts: ObjectStorage(uri, drafts, server.variables()),
        spoil,
        proxy.calm,
    )


def _folder(uri: str, root: Path, claims: Path) -> Output:
    ballast = root.parent / BALLAST

    def spoil(number: int, mishap: Mishap) -> None:
        if mishap.deed is Deed.FULL:
            _fill(ballast)
        else:
            inside.give_fault(claims / "side", number, Fault(mishap.deed, mishap.delay_s), mishap.times)

    def mend() -> None:
        ballast.unlink(missing_ok=True)
        for fault in (claims / "side" / "faults").glob("*.json"):
            fault.unlink(missing_ok=True)  # one that a process takes at this moment is gone, too

    return Output(uri, {}, lambda drafts: PosixStorage(str(root), drafts), spoil, mend)


def _fill(ballast: Path) -> None:
    """Take all that is free on the file system of `ballast`."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while file.write(PIECE):
            pass


@contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    """A small file system at `folder`; the harness has mounts of its own, so nothing outlives it."""
    folder.mkdir()
    options = ["-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    subprocess.run(["mount", "-t", "tmpfs", *options], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
