"""Changes in the text of a YAML file: what is not changed stays as it was written, comments too."""

import json
from typing import Any

import yaml


def put(text: str, path: tuple[str, ...], value: str) -> str:
    """`text` with `value`, a plain word, at `path`; mappings on the way are made where there are none.

    Raises ValueError where something else than a mapping is in the way.
    """
    node = yaml.compose(text)
    if node is None:
        return text + _lines(path, value, 0)
    for depth, key in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            return _in_place_of(text, node, path, depth, value)
        found = next((held for name, held in node.value if name.value == key), None)
        if found is None:
            return _beside(text, node, path[depth:], value)
        node = found
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError(f"{'.'.join(path)}: want a text")  # noqa: TRY004 - it is the file that is wrong
    before = text[: node.start_mark.index]
    return before + ("" if before.endswith(" ") else " ") + _scalar(value) + text[node.end_mark.index :]


def _in_place_of(text: str, node: Any, path: tuple[str, ...], depth: int, value: str) -> str:
    """`text` with a mapping where nothing was written."""
    if node.tag != "tag:yaml.org,2002:null":
        raise ValueError(f"{'.'.join(path[:depth])}: want a mapping")
    before = text[: node.start_mark.index]
    space = "" if before.endswith((" ", "\n")) else " "
    return before + space + _braces(path[depth:], value) + text[node.end_mark.index :]


def _beside(text: str, node: yaml.MappingNode, path: tuple[str, ...], value: str) -> str:
    """`text` with another entry in the mapping `node`."""
    if node.flow_style:
        at = node.start_mark.index + 1
        inner = _braces(path, value)[1:-1]
        return text[:at] + inner + (", " if node.value else "") + text[at:]
    at = _end(text, node)
    before = text[:at]
    line = "" if not before or before.endswith("\n") else "\n"
    return before + line + _lines(path, value, node.start_mark.column) + text[at:]


def _end(text: str, node: yaml.Node) -> int:
    """Where the line behind the last one of `node` begins; its own end mark lies behind comments, too."""
    last: Any = node
    while isinstance(last, yaml.CollectionNode) and last.value and not last.flow_style:
        last = last.value[-1]
        last = last[1] if isinstance(last, tuple) else last
    newline = text.find("\n", last.end_mark.index - (1 if text[: last.end_mark.index].endswith("\n") else 0))
    return len(text) if newline < 0 else newline + 1


def _lines(path: tuple[str, ...], value: str, indent: int) -> str:
    *above, last = path
    lines = [f"{' ' * (indent + 2 * depth)}{_scalar(key)}:\n" for depth, key in enumerate(above)]
    return "".join(lines) + f"{' ' * (indent + 2 * len(above))}{_scalar(last)}: {_scalar(value)}\n"


def _braces(path: tuple[str, ...], value: str) -> str:
    inner = json.dumps(value)
    for key in reversed(path):
        inner = f"{{{_scalar(key)}: {inner}}}"
    return inner


def _scalar(value: str) -> str:
    """`value` as it may stand before and behind a colon."""
    try:
        plain = yaml.safe_load(f"k: {value}") == {"k": value}
    except yaml.YAMLError:
        plain = False
    return value if plain else json.dumps(value)
