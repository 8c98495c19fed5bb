"""What is kept of a job's log when its pods are gone: a ConfigMap with one entry for each attempt.

Together they hold the last 64 KiB: the newest attempt's end, and of earlier ones as much as still fits.
"""

import re
from collections.abc import Mapping
from typing import Final

LIMIT_BYTES: Final = 65_536
"""For all attempts together, as UTF-8 (a ConfigMap may hold 1 MiB)."""
CUT: Final = "… (what was logged before is not kept)\n"
_KEY: Final = re.compile(r"attempt-(\d+)\.log")


def config_map_name(job: str) -> str:
    """Name of the ConfigMap."""
    return f"{job}-logs"


def key(attempt: int) -> str:
    """The entry of an attempt, from 1."""
    return f"attempt-{attempt}.log"


def attempts(data: Mapping[str, str]) -> dict[int, str]:
    """The logs by attempt, the oldest first; entries of another name are passed over."""
    found = ((_KEY.fullmatch(name), text) for name, text in data.items())
    return dict(sorted((int(match[1]), text) for match, text in found if match))


def kept(before: Mapping[str, str], attempt: int, text: str) -> dict[str, str]:
    """The ConfigMap's data once `text`, the end of the log of `attempt`, was added to `before`."""
    left, out = LIMIT_BYTES, dict[str, str]()
    for number, log in sorted({**attempts(before), attempt: text}.items(), reverse=True):
        held = end_of(log, left)
        if held:
            out[key(number)] = held
        left -= len(held.encode())
    return out


def end_of(text: str, limit_bytes: int) -> str:
    """The last whole lines of `text`, at most `limit_bytes` of UTF-8; says so when that is not all of it."""
    data = text.encode(errors="replace")
    if len(data) <= limit_bytes:
        return data.decode()
    room = limit_bytes - len(CUT.encode())
    if room <= 0:
        return ""
    tail = data[-room:]
    line_end = tail.find(b"\n")
    whole = tail[line_end + 1 :] if 0 <= line_end < len(tail) - 1 else tail
    return CUT + whole.decode(errors="ignore")
