"""PID 1 of the node's namespaces: starts the components, reaps what ends, restarts what should not have."""

from __future__ import annotations

import os
import signal
import ssl
import sys
import threading
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from hack.node import isolation
from hack.node.components import Component, after_the_api, before_the_api
from hack.node.layout import Layout

STABLE_S = 10.0
"""A component that lived this long is restarted at once, a younger one after a pause."""

PAUSE_S = (0.3, 2.0)
"""Before the restart of a stable component, and of one that fails early."""

STOP_S = 1.5
"""What etcd gets to write its last state; pods and the rest end with the PID namespace."""


def main(node: Layout) -> None:
    """Never returns. The parent has announced the node and laid its link before this is called."""
    isolation.enter(node)
    Supervisor(node).run()


class Supervisor:
    """The processes of one node, by pid."""

    def __init__(self, node: Layout) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._running: dict[int, Component] = {}
        self._started: dict[str, float] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        """Starts everything, then reaps for ever."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        threading.Thread(target=self._bring_up, daemon=True).start()
        while True:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                time.sleep(0.1)  # only before the first component is there
                continue
            with self._lock:
                ended = self._running.pop(pid, None)
            if ended is not None:
                self._react(ended, status)

    def _bring_up(self) -> None:
        self._start_all(before_the_api(self._node))
        while not self._stopping.is_set() and not _api_ready():
            time.sleep(0.1)
        self._start_all(after_the_api(self._node))

    def _start_all(self, components: Iterable[Component]) -> None:
        for component in components:
            log = self._node.log(component.name)
            if log.exists():
                log.replace(log.with_suffix(".log.old"))  # logs are of this boot, and of the one before
            self._start(component)

    def _start(self, component: Component) -> None:
        if self._stopping.is_set():
            return
        with self._lock, self._node.log(component.name).open("ab") as log:
            pid = os.posix_spawn(
                component.argv[0],
                component.argv,
                {"PATH": os.defpath + ":/usr/sbin:/sbin", "HOME": str(self._node.home), "TMPDIR": "/tmp"},
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGTERM],
                file_actions=[(os.POSIX_SPAWN_DUP2, log.fileno(), 1), (os.POSIX_SPAWN_DUP2, log.fileno(), 2)],
            )
            self._running[pid] = component
            self._started[component.name] = time.monotonic()
        _log(f"started {component.name}, pid {pid}")

    def _react(self, ended: Component, status: int) -> None:
        _log(f"{ended.name} ended, exit code {os.waitstatus_to_exitcode(status)}")
        if self._stopping.is_set():
            if ended.name == "etcd":
                os._exit(0)
            return
        stable = time.monotonic() - self._started[ended.name] > STABLE_S
        threading.Timer(PAUSE_S[0] if stable else PAUSE_S[1], self._start, [ended]).start()

    def _stop(self) -> None:
        self._stopping.set()
        for pid, component in list(self._running.items()):
            if component.name in ("etcd", "kube-apiserver"):
                os.kill(pid, signal.SIGTERM)
        threading.Timer(STOP_S, os._exit, [0]).start()


def _api_ready() -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent, and the answer is only "ok"
    try:
        with urllib.request.urlopen("https://127.0.0.1:6443/readyz", context=context, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _log(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


def detach(announce: int, go_ahead: int, log: Path) -> None:
    """In the child that becomes PID 1: waits for the parent's go-ahead, then lets go of its files.

    End of file instead of the go-ahead means that the parent died before it had announced this node: end too,
    so that no supervisor can live that nobody knows of.
    """
    os.close(announce)
    if os.read(go_ahead, 1) != b"g":
        os._exit(1)
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.closerange(3, 256)
    os.chdir("/")
