"""Secrets that a test plants, and where it then looks for them."""

import pickle
import traceback
from collections.abc import Iterator

TOKEN, USER, TENANT = "tok-planted-0001", "usr-planted-0002", "ten-planted-0003"
PLANTED = (TOKEN, USER, TENANT, "127.0.0.1", "agent.planted.example")


def assert_clean(error: BaseException, planted: tuple[str, ...] = PLANTED) -> None:
    """Nothing planted in the error, in what it was caused by, in their attributes, or in the traceback."""
    told = "".join(traceback.format_exception(error))
    # Lines of the tests' own source stand in a traceback.
    told = "\n".join(line for line in told.splitlines() if not line.startswith("    "))
    for one in chain(error):
        told += f"{one!r} {one} {one.args} {vars(one)}"
    told += repr(pickle.loads(pickle.dumps(error)))
    assert not [word for word in planted if word in told], told


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """`error` and everything it was raised from or during."""
    while error is not None:
        yield error
        yield from chain(error.__cause__)
        error = error.__context__
