"""`make chaos`: batch jobs that are killed and disturbed at random moments, and every row of what came of it.

    make chaos                    20 runs, seeds from 0
    make chaos RUNS=200           more
    make chaos RUNS=1 SEED=17     one again

Exit code 0 if every output was exact, 1 if one was not.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.chaos import places
from tests.chaos.head import Head
from tests.chaos.proxy import disturbing
from tests.chaos.run import Told, World, run
from tests.chaos.scenario import Place, Scenario, draw
from tests.chaos.summary import line, summary
from tests.kit.object_store import s3_server

APART: Final = "RAYDOCK_CHAOS_APART"
"""Set in a process that has mounts of its own."""


def main() -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(prog="make chaos", description="kill and disturb batch jobs, and look")
    parser.add_argument("--runs", type=int, default=20, help="how many seeds, one after the other")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    wanted = parser.parse_args()
    if APART not in os.environ and places.can_mount():  # noqa: TID251 - says how this process was started
        _go_apart()
    scenarios = [draw(wanted.seed + number) for number in range(wanted.runs)]
    if APART not in os.environ:  # noqa: TID251 - as above
        left = [one for one in scenarios if one.place is Place.DISK]
        scenarios = [one for one in scenarios if one.place is not Place.DISK]
        print(f"{len(left)} runs are left out, which need a small disk: nothing can be mounted here")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended on the way out
    told = _run_all(scenarios)
    print(summary(told))
    return 1 if any(one.wrong for one in told) else 0


def _go_apart() -> None:
    """Become a process with mounts of its own: they are gone with it, however it ends."""
    argv = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.chaos"]
    os.execvpe(argv[0], [*argv, *sys.argv[1:]], {**os.environ, APART: "1"})  # noqa: TID251 - the same process's


def _run_all(scenarios: Sequence[Scenario]) -> list[Told]:
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    told: list[Told] = []
    try:
        with _world(folder) as world:
            for scenario in scenarios:
                told.append(run(scenario, world))
                print(line(told[-1]), flush=True)
    finally:
        if any(one.wrong for one in told):
            print(f"logs and inputs are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return told


@contextmanager
def _world(folder: Path) -> Iterator[World]:
    """A Ray, a store and the proxy in front of it, for all runs."""
    with s3_server(folder / "s3" / "data") as server, disturbing(server) as proxy:
        here = Path(__file__).parents[2]
        head = Head(
            {
                **server.variables(proxy.port),
                "PYTHONPATH": f"{here / 'operator'}:{here}",
                "RAY_TMPDIR": str(folder / "ray"),
                # Each worker imports Ray: compiled once, where the environment of the tests keeps nothing.
                "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
                "PYTHONDONTWRITEBYTECODE": "",
            },
            folder / "ray.log",
        )
        (folder / "ray").mkdir()
        try:
            head.start()
            yield World(folder, head, server, proxy)
        finally:
            head.kill()


if __name__ == "__main__":
    sys.exit(main())
