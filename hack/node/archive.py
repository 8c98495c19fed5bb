"""Image archives (OCI layout) of one layer of our own, on nothing or on layers that the node already has."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CHUNK = 1 << 20


@dataclass(frozen=True)
class File:
    """A file of the layer: `source` is its content or where to read it."""

    source: Path | bytes
    path: str
    mode: int = 0o755


@dataclass(frozen=True)
class Base:
    """An image that the node has: its layers are named in the new manifest and not sent again."""

    manifest: dict[str, Any]
    config: dict[str, Any]


@dataclass(frozen=True)
class Image:
    """What an archive is made of. Same files, same bytes."""

    name: str
    files: Sequence[File]
    links: Sequence[tuple[str, str]] = ()
    """Symbolic links: path, target."""
    config: dict[str, Any] = field(default_factory=dict)
    """Entrypoint, User, Env … as in the OCI image config."""
    base: Base | None = None


@contextmanager
def layer(image: Image) -> Iterator[tuple[IO[bytes], str, int]]:
    """The uncompressed layer as an open file, its digest and its size in bytes."""
    with tempfile.TemporaryFile() as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            made: set[str] = set()
            for file in image.files:
                _folders(tar, file.path, made)
                _file(tar, file)
            for path, target in image.links:
                _folders(tar, path, made)
                link = tarfile.TarInfo(path.strip("/"))
                link.type, link.linkname, link.mode = tarfile.SYMTYPE, target, 0o777
                tar.addfile(link)
        size = out.tell()
        out.seek(0)
        digest = hashlib.file_digest(out, "sha256").hexdigest()
        out.seek(0)
        yield out, f"sha256:{digest}", size


def write(image: Image, out: IO[bytes]) -> None:
    """Writes the archive to `out`, which need not be seekable."""
    with layer(image) as (content, diff_id, size):
        manifest, config = _describe(image, diff_id, size)
        index = {
            "schemaVersion": 2,
            "manifests": [
                {
                    "mediaType": MANIFEST_TYPE,
                    "digest": _digest(manifest),
                    "size": len(manifest),
                    "annotations": {"io.containerd.image.name": image.name},
                }
            ],
        }
        with tarfile.open(fileobj=out, mode="w|", bufsize=CHUNK) as tar:
            _bytes(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
            _bytes(tar, "index.json", json.dumps(index).encode())
            for blob in (manifest, config):
                _bytes(tar, _blob(_digest(blob)), blob)
            entry = tarfile.TarInfo(_blob(diff_id))
            entry.size = size
            tar.addfile(entry, content)


def _describe(image: Image, diff_id: str, size: int) -> tuple[bytes, bytes]:
    """Manifest and config of the image."""
    base = image.base or Base(
        {"layers": []},
        {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}},
    )
    config = {
        **base.config,
        "config": {**base.config["config"], **image.config},
        "rootfs": {"type": "layers", "diff_ids": [*base.config["rootfs"]["diff_ids"], diff_id]},
        "history": [*base.config.get("history", []), {"created_by": "raydock"}],
    }
    config_blob = json.dumps(config, sort_keys=True).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": _digest(config_blob), "size": len(config_blob)},
        "layers": [*base.manifest["layers"], {"mediaType": LAYER_TYPE, "digest": diff_id, "size": size}],
    }
    return json.dumps(manifest, sort_keys=True).encode(), config_blob


def _folders(tar: tarfile.TarFile, path: str, made: set[str]) -> None:
    for folder in reversed(Path(path.strip("/")).parents):
        name = str(folder)
        if name not in made | {"."}:
            made.add(name)
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)


def _file(tar: tarfile.TarFile, file: File) -> None:
    entry = tarfile.TarInfo(file.path.strip("/"))
    entry.mode = file.mode
    if isinstance(file.source, bytes):
        entry.size = len(file.source)
        tar.addfile(entry, io.BytesIO(file.source))
        return
    entry.size = file.source.stat().st_size
    with file.source.open("rb") as content:
        tar.addfile(entry, content)


def _bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
