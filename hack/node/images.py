"""raydock's two images in the node: what `make images` does."""

from __future__ import annotations

from hack.node import containers, debian, dependencies, host, launch
from hack.node.failure import NodeError
from hack.node.layout import CACHE, Layout
from hack.node.package import package_image
from hack.node.progress import Progress

REFERENCES = CACHE / "images.env"
"""`OPERATOR_IMAGE=…` and `RUNTIME_IMAGE=…` of the last `make images`, for shells and tests to read."""

IMAGES = {"OPERATOR_IMAGE": ("raydock", "operator.txt"), "RUNTIME_IMAGE": ("raydock-runtime", "runtime.txt")}
"""Variable in `REFERENCES`: folder below images/, lock file below requirements/."""


def ensure(node: Layout) -> dict[str, str]:
    """Both images of the working tree's code, in the node. Gives NAME:TAG of each variable of `REFERENCES`.

    The tag is the content's hash: changed code is another image, so that pods that name it are replaced.
    """
    if not launch.alive(node):
        raise NodeError("images", "the node is down, and keeps the images: make node-up")
    host.ensure_packages("images")
    progress = Progress()
    base = debian.ensure_base(progress)
    names: dict[str, str] = {}
    for variable, (image, requirements) in IMAGES.items():
        below = dependencies.ensure(node, image, requirements, base, progress)
        built = package_image(image, below)
        if built.name not in containers.names(node):
            with progress.step(f"{image}: code into the node"):
                containers.import_image(node, built)
        names[variable] = built.name
    REFERENCES.write_text("".join(f"{variable}={name}\n" for variable, name in names.items()))
    return names
