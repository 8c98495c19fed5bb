"""A driver's last report as one marked line at the end of its log.

Ray keeps the log's end of a job that fails, and KubeRay keeps that in the RayJob: it is there when the
operator comes back after hours, and the pods are gone.
"""

from dataclasses import replace
from typing import Final

from raydock.wire import failure, marked
from raydock.wire.progress import Report
from raydock.wire.record import dumps

MARK: Final = "RAYDOCK-REPORT "


def line(report: Report) -> str:
    """`report` as the marked line, its failure's message cut."""
    if report.failure is not None:
        report = replace(report, failure=failure.cut(report.failure))
    return MARK + dumps(report)


def find(text: str) -> Report | None:
    """The last report marked in `text`, also where Ray quoted the line inside a JSON or repr string."""
    return marked.find(text, MARK, Report)
