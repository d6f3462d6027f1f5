"""Records whose fields are components: what a handler is given (Inputs) and what it answers (Outputs)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

import gradio as gr


class Inputs:
    """Marks a frozen dataclass whose fields are components: gradio gives them one by one, the handler gets the record.

    A field may be such a record itself.
    """


class Outputs:
    """Marks a frozen dataclass whose fields are components: the handler answers the record, gradio gets the values.

    A field that is to stay as it is holds UNCHANGED. A field may be such a record itself.
    """

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Any:
        """The record that shows an error where its answer would stand; None (the default) shows a toast instead."""
        return None


class _Unchanged:
    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Any = _Unchanged()
Filled = TypeVar("Filled", bound=Inputs)


def placed(record: type[Outputs], **components: Any) -> list[Any]:
    """Components in the order of a record's fields, given by name: the `outputs` of an event.

    A component for a field that is a record itself is the list that `placed` answers for it.

    Raises:
        TypeError: a field without a component, or a component without a field.
    """
    names = [field.name for field in fields(record)]  # type: ignore[arg-type]
    if set(names) != set(components):
        raise TypeError(f"{record.__name__} has {names}, given were {sorted(components)}")
    found: list[Any] = []
    for name in names:
        component = components[name]
        found += component if isinstance(component, list) else [component]
    return found


def flat(answer: Any) -> Any:
    """A record as the values of its components, everything else as it is; one value stands alone."""
    if not isinstance(answer, Outputs):
        return gr.skip() if answer is UNCHANGED else answer
    values = list(_values(answer))
    return values[0] if len(values) == 1 else tuple(values)


def _values(record: Outputs) -> Iterator[Any]:
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if isinstance(value, Outputs):
            yield from _values(value)
        else:
            yield gr.skip() if value is UNCHANGED else value


def fields_of(record: type[Inputs]) -> Iterator[tuple[str, Any]]:
    """(name, type) of every component in a record, in the order of its fields."""
    for name, kind in get_type_hints(record).items():
        if is_a(kind, Inputs):
            yield from fields_of(kind)
        else:
            yield name, kind


def filled(record: type[Filled], values: Iterator[Any]) -> Filled:
    """The record with its components' values, taken from the front of `values`."""
    kinds = get_type_hints(record).values()
    return record(*(filled(kind, values) if is_a(kind, Inputs) else next(values) for kind in kinds))


def is_a(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)
