"""Starting, finding and ending the supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from hack.node import isolation, supervisor
from hack.node.failure import NodeError
from hack.node.layout import REPOSITORY, Layout
from hack.node.progress import wait_for

NAMESPACES = ("--net", "--mount", "--uts", "--pid", "--propagation", "slave")


def alive(node: Layout) -> int:
    """The supervisor's pid on the host, or 0. Its start time tells it from a later process of that pid."""
    try:
        pid, born = node.pidfile.read_text().split()
        return int(pid) if _born(int(pid)) == born else 0
    except (OSError, ValueError):
        return 0


def start(node: Layout) -> None:
    """Starts the supervisor in namespaces of its own, linked with the host.

    The order is for interruptions: the child does nothing before the pid file tells of it and it is linked.
    """
    isolation.make_cgroups(node)
    node.socket.unlink(missing_ok=True)
    argv = ["unshare", *NAMESPACES, sys.executable, "-m", "hack.node", "supervise", node.name]
    with subprocess.Popen(
        argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        pid = int(child.stdout.readline() or 0)
        if not pid:
            raise NodeError(
                "supervisor", "no namespaces of its own: the kernel or this container does not allow them"
            )
        node.pidfile.write_text(f"{pid} {_born(pid)}")
        isolation.connect(node, pid)
        child.stdin.write(b"g")


def supervise(node: Layout) -> None:
    """What `start` runs, already in the new namespaces: forks PID 1, says its pid on the host, and goes."""
    pid = os.fork()
    if pid:
        with suppress(BrokenPipeError):  # `up` was killed: PID 1 gets no go-ahead and ends
            os.write(1, f"{pid}\n".encode())
        os._exit(0)
    try:
        supervisor.detach(announce=1, go_ahead=0, log=node.log("supervisor"))
        supervisor.main(node)
    except Exception:  # noqa: BLE001 - the log is all that a reader will have
        traceback.print_exc()
    finally:
        os._exit(1)


def stop(node: Layout) -> bool:
    """Ends the node and removes what it had on the host; returns whether it ran."""
    pid = alive(node)
    if pid:
        os.kill(pid, signal.SIGTERM)
        try:
            wait_for("supervisor", "gone", lambda: not alive(node), limit_s=5)
        except NodeError:
            os.kill(pid, signal.SIGKILL)
            wait_for("supervisor", "gone", lambda: not alive(node), limit_s=30)
    isolation.disconnect(node)
    isolation.remove_cgroups(node)
    for name in ("supervisor.pid", "containerd.sock", "containerd.sock.ttrpc"):
        (node.home / "run" / name).unlink(missing_ok=True)
    return pid != 0


def _born(pid: int) -> str:
    """Start time of a process in clock ticks since boot (field 22 of proc(5)'s stat)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
