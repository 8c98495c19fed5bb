"""Taking away what ended jobs left in an output: what `raydock batch clean` does.

It becomes the output's owner for as long as it works (raydock.batch.owner), so it waits until a lease has run
out, gives way to a job that shows life, and no job begins meanwhile. What a killed job had decided to publish
is published: that was decided.
"""

import secrets
from collections.abc import Callable
from typing import Final

from raydock.batch.owner import OWNERS, Owner
from raydock.batch.publish import DECISION, Output
from raydock.batch.storage import SWAP, Storage, drafts_dir
from raydock.wire.ledger import STAGING_DIR, JobName


def new_name() -> JobName:
    """Under which one cleaning owns an output."""
    return JobName("raydock", "batch-clean", f"clean-{secrets.token_hex(8)}")


def clean(storage: Storage, me: JobName, sleep: Callable[[float], None]) -> list[str]:
    """Remove leftovers of ended jobs; paths of what was removed, relative to the output.

    `storage` keeps drafts under `me.uid`. Raises Terminal(OUTPUT_NOT_EMPTY) when a job is writing there, or
    when `_SUCCESS` was not written by raydock; OSError.
    """
    if not storage.names(""):
        return []
    home = f"{STAGING_DIR}/{me.uid}"
    owner, output = Owner(storage, me, sleep), Output(storage, me)
    output.look()
    storage.prepare([drafts_dir(me.uid), OWNERS])
    try:
        owner.acquire()
        output.settled()
        jobs = [name for name in storage.names(STAGING_DIR) if _is_of_a_job(name) and name != me.uid]
        for name in jobs:
            storage.remove_tree(f"{STAGING_DIR}/{name}")
        return [*(f"{STAGING_DIR}/{name}" for name in jobs), *output.tidy(of_all=True)]
    finally:
        owner.leave()
        storage.remove_tree(home)
        storage.remove_empty(STAGING_DIR)


_OWNERS_NAME: Final = OWNERS.rpartition("/")[2]


def _is_of_a_job(name: str) -> bool:
    return name != _OWNERS_NAME and not name.startswith(SWAP) and DECISION.fullmatch(name) is None
