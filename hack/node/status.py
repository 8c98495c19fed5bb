"""What `make node-status` prints: is it up, what runs, and what it costs in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hack.node import addons, launch
from hack.node.api import Api, dns_answers
from hack.node.layout import Layout


def status(node: Layout) -> tuple[bool, list[str]]:
    """Whether the node is up and Ready, and the lines to print."""
    pid = launch.alive(node)
    if not pid:
        return False, ["down (make node-up)"]
    api = Api(node)
    ready, member, names = api.ready(), api.node_ready(), dns_answers(node)
    lines = [
        f"supervisor {pid}, API {_word(ready)}, node {_word(member)}, DNS {_word(names)}",
        addons.versions(),
        f"KUBECONFIG={node.kubeconfig}",
        *_memory(pid),
    ]
    lines += [f"not ready: {pod}" for pod in api.unready_pods()]
    return ready and member and names, lines


def _memory(root: int) -> Iterator[str]:
    """Resident memory of each process of the node, largest first, in MiB."""
    sizes: list[tuple[int, str]] = []
    for pid in _subtree(root):
        try:
            told = Path(f"/proc/{pid}/status").read_text()
            command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
        except OSError:
            continue
        if "VmRSS:" in told:
            sizes.append((int(told.partition("VmRSS:")[2].split()[0]) // 1024, Path(command).name))
    for size, command in sorted(sizes, reverse=True):
        yield f"{size:6} MiB  {command}"
    yield f"{sum(size for size, _ in sizes):6} MiB  resident, shared pages counted for each"


def _subtree(root: int) -> list[int]:
    """A process and all its descendants: for PID 1 of a namespace, all that lives in it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(folder.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def _word(is_ready: bool) -> str:  # noqa: FBT001 - the one thing it takes
    return "ready" if is_ready else "NOT ready"
