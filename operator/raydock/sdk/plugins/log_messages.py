"""Messages in several languages, by code."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Self

from raydock.sdk.loggers.entry import LogLevel

DEFAULT_LANGUAGE: Final = "en"

Templates = Mapping[str, str]
"""Language → text with places for keyword arguments."""

_TEMPLATES: dict[str, Templates] = {}
"""Process-wide: codes are registered where they are declared, as their module is imported."""


class LogMessageCode(StrEnum):
    """Base of a plugin's codes: `CODE = "CODE"`, or with a level `CODE = "CODE", LogLevel.WARNING`."""

    level: LogLevel

    def __new__(cls, value: str, level: LogLevel | str = LogLevel.INFO) -> Self:
        """A member that is logged with `level`."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.level = LogLevel(level)
        return member


class CommonLogMessageCode(LogMessageCode):
    """What every action may say."""

    ACTION_STARTED = "ACTION_STARTED"
    ACTION_COMPLETED = "ACTION_COMPLETED", LogLevel.SUCCESS
    ACTION_FAILED = "ACTION_FAILED", LogLevel.DANGER


def register_log_messages(messages: Mapping[LogMessageCode, Templates | str]) -> None:
    """Give codes their texts; a plain text is an English one. A code that has texts gets these instead."""
    for code, templates in messages.items():
        _TEMPLATES[str(code)] = (
            {DEFAULT_LANGUAGE: templates} if isinstance(templates, str) else dict(templates)
        )


def resolve_log_message(
    message: str | Templates | LogMessageCode, language: str = DEFAULT_LANGUAGE, **values: Any
) -> str:
    """The text of `message` in `language`, else in English, with `values` in their places.

    A text without values stays as it is, braces and all. Raises KeyError for a code without texts, or a
    template that asks for a value which is not given.
    """
    if isinstance(message, LogMessageCode):
        return resolve_log_message(_of(message), language, **values)
    template = message if isinstance(message, str) else _in(message, language)
    return template.format(**values) if values else template


def _of(code: LogMessageCode) -> Templates:
    try:
        return _TEMPLATES[str(code)]
    except KeyError:
        raise KeyError(f"{code} has no text: give it one with register_log_messages") from None


def _in(templates: Templates, language: str) -> str:
    for known in (language, DEFAULT_LANGUAGE):
        if known in templates:
            return templates[known]
    raise KeyError(f"no text in {language} or {DEFAULT_LANGUAGE}, only in: {', '.join(sorted(templates))}")


register_log_messages(
    {
        CommonLogMessageCode.ACTION_STARTED: {"en": "The action has started.", "ko": "작업을 시작했습니다."},
        CommonLogMessageCode.ACTION_COMPLETED: {
            "en": "The action is complete.",
            "ko": "작업을 완료했습니다.",
        },
        CommonLogMessageCode.ACTION_FAILED: {"en": "The action has failed.", "ko": "작업에 실패했습니다."},
    }
)
