"""Which function of the user's code predicts: `predict`, the one that spec.function names, or the only."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from raydock.models.entry import LoadFailed
from raydock.reasons import Reason

PREDICT: Final = "predict"
RECONFIGURE: Final = "reconfigure"
"""Takes params; never what predicts."""
BATCHES: Final = frozenset({"DataFrame", "Table", "list", "List", "Sequence"})
"""Types of a parameter that is surely a batch; who builds an application takes a dict or a pydantic model."""
HOW: Final = (
    "a batch job calls predict(batch): define it in the class of importPath, or beside the application, "
    "or name another function in spec.function"
)
"""End of the messages about a model that cannot be used in a batch."""


@dataclass(frozen=True)
class Holder:
    """What may have the function."""

    where: Any
    """A class, module or object; a class knows its functions before it is made."""
    make: Callable[[], Any]
    """Gives what the function is called on; loads the model where that is a class."""


@dataclass(frozen=True)
class Chosen:
    """The function that predicts, not yet bound to what it is called on."""

    holder: Holder
    name: str
    """Empty: `holder.where` has what is beside the function, and `function` is called as it is."""
    function: Callable[..., Any]

    @property
    def takes_params(self) -> bool:
        """Whether there is a reconfigure()."""
        return callable(getattr(self.holder.where, RECONFIGURE, None))

    def bind(self) -> "Bound":
        """What can be called; makes what the function belongs to. Raises what that does."""
        made = self.holder.make()
        function = getattr(made, self.name) if self.name else self.function
        return Bound(made, function, getattr(made, RECONFIGURE, None))


@dataclass(frozen=True)
class Bound:
    """The function that predicts, and what it belongs to."""

    owner: Any
    """An object or a module."""
    function: Callable[..., Any]
    reconfigure: Callable[[dict[str, Any]], Any] | None


def choose(found: Any, module: Any, name: str | None) -> Chosen:
    """What predicts, for the object `found` that an import path named in `module`; `name`: spec.function.

    The forms are those that serving takes (raydock.serve.load). An application knows requests, not batches:
    for one, and for a function that builds one, the module beside it is asked.

    Raises LoadFailed: PARAMS_INVALID with the names that there are, IMPORT_FAILED where nothing predicts.
    """
    if name is None and inspect.isroutine(found) and _predicts(found, getattr(module, PREDICT, None)):
        return Chosen(Holder(module, lambda: module), "", found)
    holders = list(_holders(found, module))
    for holder in holders:
        function = getattr(holder.where, name or PREDICT, None)
        if callable(function):
            return Chosen(holder, name or PREDICT, function)
    if inspect.isroutine(found) and name in (None, getattr(found, "__name__", "")):
        return Chosen(Holder(module, lambda: module), "", found)
    names = list(dict.fromkeys(name for holder in holders for name in _functions(holder.where, module)))
    if name:
        raise LoadFailed(Reason.PARAMS_INVALID, f"spec.function is {name!r}, {_has(names)}")
    # Not in the module of something else: a helper in it would be taken for what predicts.
    own = [] if inspect.isroutine(found) else _functions(holders[0].where, module)
    if len(own) == 1:
        return Chosen(holders[0], own[0], getattr(holders[0].where, own[0]))
    if own:
        raise LoadFailed(
            Reason.PARAMS_INVALID,
            f"{module.__name__} has no predict(), {_has(own)}: name it in spec.function",
        )
    raise LoadFailed(Reason.IMPORT_FAILED, f"{module.__name__} has no predict(): {HOW}")


def _holders(found: Any, module: Any) -> Iterator[Holder]:
    """In the order in which they are asked."""
    if inspect.isclass(found):
        yield Holder(found, found)
    elif not inspect.isroutine(found):
        yield Holder(found, lambda: found)
    yield Holder(module, lambda: module)
    bound = getattr(found, "_bound_deployment", None)  # a Ray Serve application
    if bound is not None:
        yield Holder(bound.func_or_class, lambda: bound.func_or_class(*bound.init_args, **bound.init_kwargs))


def _predicts(found: Any, beside: Any) -> bool:
    """Whether the function of an import path predicts itself, where its module has a predict() `beside` it.

    Else it builds an application. Raises LoadFailed(PARAMS_INVALID) where nothing tells one from the other:
    the wrong one of two models is worse than none.
    """
    if not callable(beside) or beside is found:
        return True
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # a built-in
        return True
    takes = [parameter.annotation for parameter in signature.parameters.values()]
    if not takes or _named(signature.return_annotation) == "Application":
        return False
    if _named(takes[0]) in BATCHES or signature.return_annotation is not inspect.Signature.empty:
        return True
    own = getattr(found, "__name__", "it")
    raise LoadFailed(
        Reason.PARAMS_INVALID,
        f"importPath names {own}(), and its module has predict(), too: name the one that is to predict "
        "in spec.function",
    )


def _named(annotation: Any) -> str:
    """Last part of an annotation's name, also of one that is kept as text."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return text.partition("[")[0].strip().rpartition(".")[2]


def _functions(where: Any, module: Any) -> list[str]:
    """Public functions that `where` brings along, as written; not what it has from a framework's class."""
    if inspect.ismodule(where):
        names = [
            name for name, one in vars(where).items() if getattr(one, "__module__", "") == where.__name__
        ]
    else:
        # A class is named because of what it does; an object may be an application of some framework.
        package = _package(where.__module__ if inspect.isclass(where) else module.__name__)
        kinds = reversed(where.__mro__ if inspect.isclass(where) else type(where).__mro__)
        names = [name for kind in kinds if _package(kind.__module__) == package for name in vars(kind)]
    public = (name for name in dict.fromkeys(names) if not name.startswith("_") and name != RECONFIGURE)
    return [name for name in public if inspect.isroutine(getattr(where, name, None))]


def _package(module_name: str) -> str:
    return module_name.partition(".")[0]


def _has(names: list[str]) -> str:
    return f"the model has {', '.join(names)}" if names else "the model has no public function"
