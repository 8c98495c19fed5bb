"""From `output.uri` to the storage behind it."""

from collections.abc import Iterator
from contextlib import contextmanager

from raydock.batch.storage import PosixStorage, Storage
from raydock.errors import Retry, Terminal
from raydock.reasons import Reason
from raydock.wire.paths import CLAIMS_DIR, claim_of, claim_path

SCHEMES = ("s3://", "gs://", "az://")


def storage_at(uri: str, drafts: str, claims_dir: str = CLAIMS_DIR) -> Storage:
    """The storage of a job's output. Raises Terminal(INVALID_SPEC), object_storage.StoreFailed."""
    if uri.startswith(SCHEMES):
        from raydock.batch.object_storage import ObjectStorage  # noqa: PLC0415 - a volume needs no client of stores

        return ObjectStorage.from_environment(uri, drafts)
    try:
        return PosixStorage(claim_path(uri, claims_dir), drafts)
    except ValueError as exc:
        told = exc if claim_of(uri) else "write pvc://CLAIM/PATH, s3://, gs:// or az://"
        raise Terminal(Reason.INVALID_SPEC, f"cannot write to output.uri {uri}: {told}") from None


@contextmanager
def refusing() -> Iterator[None]:
    """What an object store did not do becomes a failure of the job: Terminal or Retry, with its words."""
    try:
        yield
    except OSError as exc:
        final = getattr(exc, "final", None)  # of a StoreFailed; its module is not imported for volumes
        if final is None:
            raise
        if final:
            cure = "correct output.uri or the Secret of credentialsSecret, and make a new BatchJob"
            raise Terminal(Reason.JOB_FAILED, f"output: {exc.strerror}: {cure}") from None
        raise Retry(Reason.JOB_FAILED, f"output: {exc.strerror}") from None
