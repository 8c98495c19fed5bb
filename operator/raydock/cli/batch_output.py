"""`raydock batch verify` and `raydock batch clean`: an output, looked at from where one stands."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from raydock.errors import Terminal, Unfinished

if TYPE_CHECKING:
    from raydock.batch.storage import Storage

OUTPUT = Annotated[
    str,
    typer.Argument(
        help="A directory, or s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH with the credentials "
        "of the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …)."
    ),
]


def verify(output: OUTPUT) -> None:
    """Check files, rows and sums of a BatchJob's output against its _SUCCESS.

    Exit code 0: the output is what _SUCCESS says; 1: it is not; 2: it cannot be read.
    """
    try:
        from raydock.batch.verify import verify as check  # noqa: PLC0415 - pyarrow is in an extra

        wrong = check(_storage(output, ""))
    except (ImportError, OSError, Unfinished) as error:
        _cannot(output, error)
    for sentence in wrong:
        print(sentence)
    if wrong:
        raise typer.Exit(1)
    print(f"{output} is what its _SUCCESS says")


def clean(output: OUTPUT) -> None:
    """Remove what ended BatchJobs left in an output: staged work, and files that _SUCCESS does not list.

    Exit code 0: nothing is left behind; 1: a job is writing there, or it is not raydock's; 2: it cannot be
    read or written.
    """
    try:
        from raydock.batch import clean as cleaning  # noqa: PLC0415 - the stores' client is in an extra
        from raydock.batch.storage import drafts_dir  # noqa: PLC0415 - likewise

        me = cleaning.new_name()
        removed = cleaning.clean(_storage(output, drafts_dir(me.uid)), me, time.sleep)
    except Terminal as refused:
        print(refused.message, file=sys.stderr)
        raise typer.Exit(1) from None
    except (ImportError, OSError, Unfinished) as error:
        _cannot(output, error)
    for path in removed:
        print(f"removed {path}")
    if not removed:
        print("nothing was left behind")


def _storage(output: str, drafts: str) -> "Storage":
    if "://" in output:
        from raydock.batch.object_storage import ObjectStorage  # noqa: PLC0415 - the stores' client is in an extra

        return ObjectStorage.from_environment(output, drafts)
    from raydock.batch.storage import PosixStorage  # noqa: PLC0415 - as its neighbour

    if not Path(output).is_dir():
        raise NotADirectoryError(20, "no such directory")
    return PosixStorage(output, drafts)


def _cannot(output: str, error: Exception) -> NoReturn:
    if isinstance(error, ImportError):
        told = f"{error.name} is missing: pip install 'raydock[runtime]'"
    else:
        told = f"{output}: {getattr(error, 'strerror', None) or error}"
    print(told, file=sys.stderr)
    raise typer.Exit(2) from None
