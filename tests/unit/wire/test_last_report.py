"""A driver's last report comes back from the message that KubeRay keeps."""

import json

import pytest

from raydock.wire.failure import MESSAGE_MAX
from raydock.wire.last_report import find, line
from raydock.wire.progress import Failure, Output, Report

REPORT = Report("demo", "score", "3f2a", 2, "postprocess", 100, 9_993, 10_000, 7, 20, 20)
PUBLISHED = Report(**{**vars(REPORT), "output": Output("pvc://data/out/", 9_993, 1 << 20, 20, 7)})
FAILED = Report(
    **{**vars(REPORT), "failure": Failure("TooManyFailedRows", 'row 7: "é"\nline two', final=True)}
)


@pytest.mark.parametrize("report", [PUBLISHED, FAILED], ids=["published", "failed"])
def test_it_is_found_where_ray_and_kuberay_quote_it(report: Report) -> None:
    log = f"2026-01-01 INFO published\n{line(report)}\n"
    said = f"Job entrypoint command failed with exit code 1, last available logs:\n{log}"
    assert find(said) == report
    assert find(json.dumps({"message": said})) == report


def test_a_long_message_keeps_its_end() -> None:
    long = Report(**{**vars(REPORT), "failure": Failure("PredictFailed", "x" * 9000 + "end")})
    found = find(line(long))
    assert found is not None
    assert found.failure is not None
    assert (len(found.failure.message), found.failure.message[-3:]) == (MESSAGE_MAX, "end")
