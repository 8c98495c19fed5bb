"""The slow half of an image: Python packages, from locked wheels, built by buildah without a network."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from hack.node import containers
from hack.node.archive import Base
from hack.node.command import run
from hack.node.host import pip
from hack.node.layout import CACHE, REPOSITORY, Layout
from hack.node.progress import Progress
from hack.node.versions import pinned

IMAGES = CACHE / "images"
WHEELS = CACHE / "wheels"
STAGE = "dependencies"
"""The first stage of both Dockerfiles."""


def ensure(node: Layout, image: str, requirements: str, base: str, progress: Progress) -> Base:
    """The first stage of `images/<image>/Dockerfile`, in the node; what the last stage's layer goes on."""
    dockerfile = REPOSITORY / "images" / image / "Dockerfile"
    locked = REPOSITORY / "requirements" / requirements
    stage = dockerfile.read_text().partition(f"FROM {STAGE}")[0]
    parts = [stage, (REPOSITORY / "images" / "install.sh").read_text(), locked.read_text(), base]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
    name = f"localhost/{image}-{STAGE}:{key}"
    told = IMAGES / f"{image}-{key}.json"
    if not told.exists() or name not in containers.names(node):
        _wheels(locked, progress)
        IMAGES.mkdir(parents=True, exist_ok=True)
        archive = IMAGES / f"{image}.tar"
        with progress.step(f"{image}: packages of {requirements} installed"):
            _build(dockerfile, base, name)
        with progress.step(f"{image}: packages into the node"):
            archive.unlink(missing_ok=True)
            run(
                ["buildah", "push", "--quiet", "--disable-compression", name, f"oci-archive:{archive}:{name}"]
            )
            containers.import_file(node, archive)
            _remember(archive, told)
            archive.unlink()
    said = json.loads(told.read_text())
    return Base(said["manifest"], said["config"])


def _wheels(locked: Path, progress: Progress) -> None:
    """Every wheel of a lock file, for the images' Python, in `WHEELS`."""
    mark = WHEELS / f".{locked.stem}"
    wanted = hashlib.sha256(locked.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text() == wanted:
        return
    with progress.step(f"wheels of {locked.name}"):
        WHEELS.mkdir(parents=True, exist_ok=True)
        target = ["--python-version", pinned()["images"]["python"], "--implementation", "cp"]
        # pip takes each platform by its word: a wheel for an older C library is another platform
        glibc = range(5, 37)
        platforms = [f"manylinux_2_{minor}_x86_64" for minor in glibc] + [
            "manylinux1_x86_64",
            "manylinux2014_x86_64",
        ]
        for platform in platforms:
            target += ["--platform", platform]
        pip(
            "download",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            *target,
            "-d",
            WHEELS,
            "-r",
            locked,
        )
        mark.write_text(wanted)


def _build(dockerfile: Path, base: str, name: str) -> None:
    arguments = [
        "--build-arg",
        f"BASE_IMAGE={base}",
        "--build-arg",
        "PIP_ARGS=--no-index --find-links=/wheels",
    ]
    run(
        [
            *("buildah", "bud", "--isolation", "chroot", "--format", "oci", "--pull-never", "--layers=false"),
            *("--timestamp", "0", "--target", STAGE, "--volume", f"{WHEELS}:/wheels:ro", *arguments),
            *("-f", dockerfile, "-t", name, REPOSITORY),
        ],
        component="buildah",
    )


def _remember(archive: Path, told: Path) -> None:
    """Keeps the image's manifest and config: new images on its layers are written from them."""
    with tarfile.open(archive) as tar:

        def read(name: str) -> dict[str, object]:
            content = tar.extractfile(name)
            assert content is not None
            found = json.load(content)
            assert isinstance(found, dict)
            return found

        def blob(reference: object) -> dict[str, object]:
            assert isinstance(reference, dict)
            return read(f"blobs/sha256/{reference['digest'].removeprefix('sha256:')}")

        manifests = read("index.json")["manifests"]
        assert isinstance(manifests, list)
        manifest = blob(manifests[0])
        told.write_text(json.dumps({"manifest": manifest, "config": blob(manifest["config"])}))
