"""Inside a job's processes: comes to a stop at the scenario's moments, and lets a directory's storage fail.

A process that comes to a moment says so by a file and waits until the harness did what is to happen there. A
kill comes from outside all the same, by a signal, so nothing in here is kinder than a pod that dies.

    side/moments/<n>.json     when mishap n is due
    side/reached/<n>          pid of the one process that came there
    side/gone/<n>             go on
    side/faults/<n>.<k>.json  a fault that one operation takes
"""

import errno
import functools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from raydock.batch.object_storage import ObjectStorage
from raydock.batch.storage import NewFile, PosixStorage
from raydock.wire.ledger import STAGING_DIR, SUCCESS_FILE
from tests.chaos.scenario import Deed, Moment

HOLD_S: Final = 300.0
"""After which a process goes on, should the harness have died."""
LOOK_S: Final = 0.005
FOLDERS: Final = ("moments", "reached", "gone", "faults")
METHODS: Final = ("create", "replace", "promote", "remove", "remove_tree", "open_new")
"""What changes a storage."""


@dataclass(frozen=True)
class Fault:
    """What happens to one operation of a directory."""

    deed: Deed
    delay_s: float = 0.0


def prepare(side: Path, moments: Iterable[Moment]) -> None:
    """Make the folders that harness and processes talk through."""
    for folder in FOLDERS:
        (side / folder).mkdir(parents=True)
    for number, moment in enumerate(moments):
        if moment.step:
            (side / "moments" / f"{number}.json").write_text(json.dumps(asdict(moment)))


def reached(side: Path) -> dict[int, int]:
    """Mishaps that are due, and the pid of who waits there."""
    found = (path for path in (side / "reached").iterdir() if not path.suffix)
    return {int(path.name): int(path.read_text()) for path in found}


def let_go(side: Path, number: int) -> None:
    """Whoever waits for mishap `number` goes on."""
    (side / "gone" / str(number)).touch()


def give_fault(side: Path, number: int, fault: Fault, times: int) -> None:
    """The next operations fail."""
    for time_ in range(times):
        draft = side / f"fault-{number}-{time_}"
        draft.write_text(json.dumps(asdict(fault)))
        draft.rename(side / "faults" / f"{number}.{time_}.json")


class Gate:
    """What a process passes before and after each step."""

    def __init__(self, side: Path, who: str) -> None:
        self._side = side
        found = [(path.stem, json.loads(path.read_text())) for path in (side / "moments").glob("*.json")]
        self._moments = {number: Moment(**content) for number, content in found if content["who"] == who}
        self._passed: Counter[tuple[str, bool]] = Counter()

    def __call__(self, step: str, *, after: bool) -> None:
        """Stops where a mishap is due."""
        self._passed[step, after] += 1
        for number, moment in self._moments.items():
            if (moment.step, moment.after, moment.nth) == (step, after, self._passed[step, after]):
                self._hold(number)

    def fault(self) -> Fault | None:
        """The fault that the next operation has."""
        for path in sorted((self._side / "faults").iterdir()):
            taken = path.with_name(f"{path.stem}.{os.getpid()}.taken")
            if path.suffix == ".json":
                try:
                    path.rename(taken)
                except FileNotFoundError:
                    continue  # another process took it
                content = json.loads(taken.read_text())
                taken.unlink()
                return Fault(Deed(content["deed"]), content["delay_s"])
        return None

    def _hold(self, number: str) -> None:
        draft = self._side / "reached" / f"{number}.{os.getpid()}.draft"
        draft.write_text(str(os.getpid()))
        try:
            os.link(draft, self._side / "reached" / number)
        except FileExistsError:
            return  # it happens once
        finally:
            draft.unlink()
        ends = time.monotonic() + HOLD_S
        while not (self._side / "gone" / number).exists() and time.monotonic() < ends:
            time.sleep(LOOK_S)  # another process tells, by a file


def arm(side: Path, who: str) -> Gate:
    """Let every storage of this process pass through a gate."""
    gate = Gate(side, who)
    for kind in (PosixStorage, ObjectStorage):
        for method in METHODS:
            whole = getattr(kind, method)
            setattr(kind, method, _passing(whole, method, gate, faulty=kind is PosixStorage))
    return gate


def step_of(method: str, path: str) -> str:
    """What the commit protocol does by this operation."""
    if method in {"promote", "remove_tree"}:
        return {"promote": "promote", "remove_tree": "clean"}[method]
    if method == "open_new":
        return "open"
    if path == SUCCESS_FILE:
        return "success"
    if path.startswith(f"{STAGING_DIR}/publish-"):
        return "undecide" if method == "remove" else "decide"
    if path.endswith("/plan.json"):
        return "plan"
    folder = path.rpartition("/")[0].rpartition("/")[2]
    return {"owners": "owner", "ledger": "commit", "tries": "note"}.get(folder, "other")


def _passing(whole: Callable[..., Any], method: str, gate: Gate, *, faulty: bool) -> Callable[..., Any]:
    @functools.wraps(whole)
    def passing(self: Any, *args: Any) -> Any:
        if method == "promote":
            args = (_one_by_one(args[0], gate),)
        step = step_of(method, args[0] if args and isinstance(args[0], str) else "")
        gate(step, after=False)
        fault = gate.fault() if faulty else None
        _before(fault)
        if fault is not None and fault.deed is Deed.PARTIAL and method == "create":
            _half_made(self, args[1])
        given = whole(self, *args)
        _after(fault)
        if method == "open_new":
            half = fault is not None and fault.deed is Deed.PARTIAL
            given = _File(given, gate, half=half)
        gate(step, after=True)
        return given

    return passing


def _one_by_one(pairs: Iterable[tuple[str, str]], gate: Gate) -> Iterator[tuple[str, str]]:
    for pair in pairs:
        gate("move", after=False)
        yield pair
        gate("move", after=True)


def _before(fault: Fault | None) -> None:
    if fault is None:
        return
    if fault.deed is Deed.SLOW:
        time.sleep(fault.delay_s)  # that is the fault
    if fault.deed is Deed.REFUSE:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def _after(fault: Fault | None) -> None:
    if fault is not None and fault.deed is Deed.LOST:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def _half_made(storage: Any, content: bytes) -> None:
    """What a write that breaks off leaves behind."""
    storage._draft("half").write_bytes(content[: len(content) // 2])
    raise OSError(errno.EIO, os.strerror(errno.EIO))


class _File:
    """A new file; of one with `half` the first write breaks off in the middle."""

    def __init__(self, file: NewFile, gate: Gate, *, half: bool) -> None:
        self._file = file
        self._gate = gate
        self._half = half

    def write(self, data: Any, /) -> int:
        if self._half:
            content = memoryview(data).cast("B")
            self._file.write(content[: len(content) // 2])
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._file.write(data)

    def close(self) -> None:
        self._gate("close", after=False)
        self._file.close()
        self._gate("close", after=True)

    def abort(self) -> None:
        self._file.abort()
