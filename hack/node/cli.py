"""The verbs of `python3 -m hack.node`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from hack.node import build, containers, control_plane, images, kind, launch, lifecycle, venv
from hack.node.failure import NodeError
from hack.node.layout import BIN, Layout, layout
from hack.node.leftovers import leftovers
from hack.node.progress import Progress
from hack.node.status import status


def main() -> int:
    """Runs one verb; returns the exit status. A NodeError is told with the end of its log."""
    args = _parser().parse_args()
    try:
        verb: Callable[[Layout, argparse.Namespace], int] = args.run
        return verb(layout(), args)
    except NodeError as error:
        sys.stderr.write(f"\nFAILED  {error.told()}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted: run it again to go on\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m hack.node", description="The embedded node.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def add(
        name: str, run: Callable[[Layout, argparse.Namespace], int], told: str
    ) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=told)
        verb.set_defaults(run=run)
        return verb

    add("up", _up, "bring the node up; run again, it goes on where it was cut off")
    down = add("down", _down, "end the node; its state stays")
    down.add_argument(
        "--clean", action="store_true", help="forget its objects and volumes, keep images and keys"
    )
    down.add_argument("--purge", action="store_true", help="remove all its state, images and keys too")
    make = add("build", _build, "build the binaries, or those that are named, without starting anything")
    make.add_argument("names", nargs="*")
    add("venv", _venv, "make the virtual environment of lint and tests")
    lock = add("lock", _lock, "resolve the lock files again; --upgrade and the like go to uv")
    lock.add_argument("more", nargs=argparse.REMAINDER)
    add("images", _images, "build raydock's images into the node; print their names")
    add("test-images", _test_images, "bring what only tests need into the node; print its names")
    add("status", _status, "is it up, what runs, how much memory; exit status 1 when it is not ready")
    add("leftovers", _leftovers, "list what the node has on the host; exit status 1 when there is any")
    add("kubeconfig", _kubeconfig, "print the path of the admin's kubeconfig")
    add("env", _env, "print shell lines that put kubectl, helm and the kubeconfig in reach")
    inside = add("nsenter", _nsenter, "run a command in the node's namespaces")
    inside.add_argument("command", nargs=argparse.REMAINDER)
    add("kind-addons", _kind_addons, "KubeRay and Envoy Gateway into the cluster of hack/kind.sh")
    alone = add("control-plane", _control_plane, "etcd and the API server alone, until standard input ends")
    alone.add_argument("folder", type=Path)
    supervise = verbs.add_parser("supervise")  # not for people: `up` starts it, in new namespaces
    supervise.add_argument("name", help="only to be seen in the list of processes")
    supervise.set_defaults(run=_supervise)
    return parser


def _up(node: Layout, _: argparse.Namespace) -> int:
    lifecycle.up(node)
    return 0


def _down(node: Layout, args: argparse.Namespace) -> int:
    lifecycle.down(node, clean=args.clean, purge=args.purge)
    return 0


def _build(_: Layout, args: argparse.Namespace) -> int:
    binaries = [*build.NODE, *build.ADDONS, *build.TESTS]
    unknown = set(args.names) - {binary.name for binary in binaries}
    if unknown:
        raise NodeError("build", f"no binary {', '.join(sorted(unknown))}")
    build.ensure([binary for binary in binaries if not args.names or binary.name in args.names], Progress())
    return 0


def _venv(_: Layout, __: argparse.Namespace) -> int:
    venv.ensure()
    return 0


def _lock(_: Layout, args: argparse.Namespace) -> int:
    venv.lock(args.more)
    return 0


def _kind_addons(_: Layout, __: argparse.Namespace) -> int:
    kind.ensure_addons()
    return 0


def _images(node: Layout, _: argparse.Namespace) -> int:
    for variable, name in images.ensure(node).items():
        sys.stdout.write(f"{variable}={name}\n")
    return 0


def _test_images(node: Layout, _: argparse.Namespace) -> int:
    build.ensure(build.TESTS, Progress())
    containers.ensure(node, containers.test_images())
    sys.stdout.write(f"OBJECTS_IMAGE={containers.OBJECTS}\n")
    return 0


def _status(node: Layout, _: argparse.Namespace) -> int:
    is_up, lines = status(node)
    sys.stdout.write("\n".join([*lines, ""]))
    return 0 if is_up else 1


def _leftovers(node: Layout, _: argparse.Namespace) -> int:
    found = leftovers(node)
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return 1 if found else 0


def _kubeconfig(node: Layout, _: argparse.Namespace) -> int:
    sys.stdout.write(f"{node.kubeconfig}\n")
    return 0


def _env(node: Layout, _: argparse.Namespace) -> int:
    sys.stdout.write(f"export KUBECONFIG={node.kubeconfig}\nexport PATH={BIN}:$PATH\n")
    return 0


def _nsenter(node: Layout, args: argparse.Namespace) -> int:
    pid = launch.alive(node)
    if not pid:
        raise NodeError("node", "down: make node-up")
    os.execvp("nsenter", ["nsenter", "-t", str(pid), "-n", "-m", "-p", "-u", "--", *args.command])


def _control_plane(_: Layout, args: argparse.Namespace) -> int:
    control_plane.main(args.folder)
    return 0


def _supervise(node: Layout, _: argparse.Namespace) -> int:
    launch.supervise(node)
    return 1
