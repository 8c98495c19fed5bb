"""The capacity gate's question and answer, as raydock and its agents speak them.

Keys are the agent's, in snake case; the rest of `wire` has its own.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeGuard, get_args

from raydock.wire.record import WireError

FEASIBILITY_PATH: Final = "resources/feasibility/"
"""Below the agent's base URL, or the operator's root."""
TEXTS_MAX: Final = 16
"""Reasons and messages that are kept of one answer: more than there are codes."""
TEXT_MAX: Final = 256
"""Characters of each."""
COUNT_MAX: Final = 2**31 - 1

Kind = Literal["job", "serve", "container", "task"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)


@dataclass(frozen=True)
class Question:
    """Whether `replicas` of one shape fit."""

    kind: Kind
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    memory_bytes: int | None = None
    """Of one replica; None: not said."""
    replicas: int = 1
    metadata: Mapping[str, str] = field(default_factory=dict)
    """`plugin_code`, `agent`; from the operator also `namespace`, `name`, `phase`."""

    def fields(self) -> dict[str, Any]:
        """The request, as JSON holds it."""
        return {
            "kind": self.kind,
            "num_cpus": self.num_cpus,
            "num_gpus": self.num_gpus,
            "memory_bytes": self.memory_bytes,
            "replicas": self.replicas,
            "metadata": dict(self.metadata),
        }

    def body(self) -> str:
        """The request's JSON."""
        return json.dumps(self.fields())


@dataclass(frozen=True)
class Answer:
    """What an agent says. Only `allowed` decides."""

    allowed: bool
    reasons: tuple[str, ...] = ()
    """Codes, `gpu_insufficient`."""
    messages: tuple[str, ...] = ()
    """Texts for people; may hold anything the agent likes to write."""
    feasible_replicas: int | None = None
    """How many of the asked shape fit; None: not said."""

    def json(self) -> dict[str, Any]:
        """The response's body."""
        return {
            "allowed": self.allowed,
            "reasons": list(self.reasons),
            "messages": list(self.messages),
            "feasible_replicas": self.feasible_replicas,
        }


def answer(body: bytes) -> Answer:
    """The answer in an agent's 200. Raises WireError unless `allowed` is JSON's true or false, said once."""
    try:
        told = json.loads(body, object_pairs_hook=_said_once)
    except (ValueError, RecursionError):
        raise WireError("answer: not JSON") from None
    return answer_of(told)


def answer_of(told: Any) -> Answer:
    """The answer that came as parsed JSON. Raises WireError unless `allowed` is true or false.

    Everything else in it is a help for people: what is odd there is left out.
    """
    if not isinstance(told, dict) or not isinstance(told.get("allowed"), bool):
        raise WireError("answer: want an object with `allowed` true or false")
    feasible = told.get("feasible_replicas")
    return Answer(
        allowed=told["allowed"],
        reasons=_texts(told.get("reasons")),
        messages=_texts(told.get("messages")),
        feasible_replicas=min(feasible, COUNT_MAX) if _is_count(feasible) else None,
    )


def question_of_options(
    actor_options: Mapping[str, Any], serve_options: Mapping[str, Any], *, plugin_code: str, agent: str
) -> Question:
    """The question of a `deploy()` outside the operator. Raises ValueError with the option that is wrong.

    `actor_options`: Ray's `ray_actor_options`; `serve_options`: options of the Serve deployment.
    """
    return Question(
        kind="serve",
        num_cpus=_amount("num_cpus", actor_options.get("num_cpus"), 1.0),
        num_gpus=_amount("num_gpus", actor_options.get("num_gpus"), 0.0),
        memory_bytes=_whole("memory", actor_options.get("memory"), None),
        replicas=_replicas(serve_options),
        metadata={"plugin_code": plugin_code, "agent": agent},
    )


def _said_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object's entries; one that says something twice says nothing clear."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _texts(value: Any) -> tuple[str, ...]:
    """A list of texts; a bare text is a list of one."""
    entries = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(_line(entry) for entry in entries[:TEXTS_MAX] if isinstance(entry, str) and entry)


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TEXT_MAX else f"{line[: TEXT_MAX - 1]}…"


def _replicas(options: Mapping[str, Any]) -> int:
    wanted, scaling = options.get("num_replicas"), options.get("autoscaling_config")
    if wanted == "auto" or scaling is not None:
        # A mapping, or Ray's own AutoscalingConfig.
        key = "min_replicas"
        least = scaling.get(key) if isinstance(scaling, Mapping) else getattr(scaling, key, None)
        return max(1, _whole(key, least, 1) or 1)
    return _whole("num_replicas", wanted, 1) or 0


def _whole(option: str, value: Any, default: int | None) -> int | None:
    if value is None:
        return default
    figure = _amount(option, value, 0.0)
    if isinstance(value, int) or (isinstance(value, str) and value.strip().isdecimal()):
        return int(value)  # not by way of a float: bytes can be more than it counts exactly
    if figure != int(figure):
        raise ValueError(f"{option}: want a whole number of 0 or more")
    return int(figure)


def _amount(option: str, value: Any, default: float) -> float:
    if value is None:
        return default
    try:
        figure = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        figure = math.nan
    if not math.isfinite(figure) or figure < 0:
        raise ValueError(f"{option}: want a number of 0 or more")
    return figure
