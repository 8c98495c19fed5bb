"""Images into the node's containerd, each once."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from hack.node import archive, build
from hack.node.archive import File, Image
from hack.node.command import Arg, output, run
from hack.node.config import PAUSE
from hack.node.failure import NodeError
from hack.node.layout import BIN, Layout
from hack.node.versions import module_version, pypi_version

COREDNS = "localhost/coredns:1"
HELPER = "localhost/busybox:1"
STORAGE = "localhost/local-path-provisioner:" + module_version(
    "storage", "github.com/rancher/local-path-provisioner"
)
KUBERAY = "localhost/kuberay-operator:" + module_version(
    "kuberay", "github.com/ray-project/kuberay/ray-operator"
)
GATEWAY = "localhost/envoy-gateway:" + module_version("gateway", "github.com/envoyproxy/gateway")
ENVOY = "localhost/envoy:v" + pypi_version("envoy")

OBJECTS = "localhost/versitygw:" + module_version("objects", "github.com/versity/versitygw")

NOBODY = "65532"
"""The user of an image whose program needs no rights: numeric, as `runAsNonRoot` demands."""

APPLETS = ("sh", "mkdir", "rm", "ls", "cat", "sleep", "wget", "nslookup", "id", "touch", "test")


def node_images() -> tuple[Image, ...]:
    """What the node itself needs."""
    return (_program(PAUSE, "pause"), _program(COREDNS, "coredns", user="0"), _helper())


def addon_images() -> tuple[Image, ...]:
    """What runs in the cluster beside raydock."""
    return (
        # the provisioner's log is in the working directory, which must be writable: klog's default
        _program(STORAGE, "local-path-provisioner"),
        _program(KUBERAY, "kuberay-operator"),
        _program(GATEWAY, "envoy-gateway"),
        _envoy(),
    )


def test_images() -> tuple[Image, ...]:
    """What only tests need."""
    return (_program(OBJECTS, "versitygw"),)


def answers(node: Layout) -> bool:
    """Whether containerd takes commands."""
    return node.socket.exists() and "Server:" in output(_ctr(node, "version"))


def ensure(node: Layout, images: Iterable[Image]) -> None:
    """Imports those of `images` that the node lacks, or has with another content."""
    there = set(run(_ctr(node, "images", "ls", "-q"), component="containerd").split())
    marks = node.containerd / "imported"
    marks.mkdir(parents=True, exist_ok=True)
    for image in images:
        mark = marks / image.name.replace("/", "_")
        wanted = _fingerprint(image)
        if image.name in there and mark.exists() and mark.read_text() == wanted:
            continue
        import_image(node, image)
        mark.write_text(wanted)


def import_image(node: Layout, image: Image) -> None:
    """Streams an archive into containerd. Raises NodeError with what `ctr` said."""
    with subprocess.Popen(
        [str(arg) for arg in _ctr(node, "images", "import", "-")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,  # nothing is left to be flushed when ctr ends early
    ) as ctr:
        assert ctr.stdin is not None
        assert ctr.stdout is not None
        try:
            archive.write(image, ctr.stdin)
            ctr.stdin.close()
        except BrokenPipeError:
            pass  # its own words are below
        said = ctr.stdout.read().decode(errors="replace")
    if ctr.returncode:
        raise NodeError("containerd", f"import of {image.name} failed: {said}", node.log("containerd"))


def import_file(node: Layout, path: Path) -> None:
    """Imports an archive made by somebody else."""
    run(_ctr(node, "images", "import", path), component="containerd")


def names(node: Layout) -> list[str]:
    """All images that the node has."""
    return sorted(run(_ctr(node, "images", "ls", "-q"), component="containerd").split())


def _ctr(node: Layout, *args: Arg) -> Sequence[Arg]:
    return ["ctr", "--address", node.socket, "--namespace", "k8s.io", *args]


def _program(name: str, binary: str, user: str = NOBODY) -> Image:
    config = {"Entrypoint": [f"/{binary}"], "User": user, "Env": ["PATH=/"]}
    return Image(name, [File(BIN / binary, binary), File(b"", "tmp/.keep", 0o644)], config=config)


def _helper() -> Image:
    """A shell and a few tools in one static binary: the storage provisioner's helper, and handy in tests."""
    links = [(f"bin/{applet}", "busybox") for applet in APPLETS]
    files = [File(Path("/bin/busybox"), "bin/busybox"), File(b"", "tmp/.keep", 0o644)]
    return Image(HELPER, files, links, {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]})


def _envoy() -> Image:
    """Envoy with the libraries that it is linked to, each at its own path."""
    binary = build.envoy()
    libraries = [Path(word) for word in run(["ldd", binary]).split() if word.startswith("/")]
    files = [File(binary, "usr/local/bin/envoy"), *(File(library, str(library)) for library in libraries)]
    config = {"Entrypoint": ["/usr/local/bin/envoy"], "User": NOBODY, "Env": ["PATH=/usr/local/bin"]}
    return Image(ENVOY, [*files, File(b"", "tmp/.keep", 0o644)], config=config)


def _fingerprint(image: Image) -> str:
    digest = hashlib.sha256(f"{image.name} {image.links} {image.config}".encode())
    for file in image.files:
        if isinstance(file.source, bytes):
            digest.update(file.source)
        else:
            seen = file.source.stat()
            digest.update(f"{file.path} {file.mode} {seen.st_size} {seen.st_mtime_ns}".encode())
    return digest.hexdigest()
