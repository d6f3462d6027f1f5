"""The only bridge from the core's errors to what a visitor reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, get_type_hints

import gradio as gr

from demo import words
from demo.visitor import Stopped
from kfaar_core.errors import KfaarError


class Inputs:
    """Marks a frozen dataclass whose fields are components: gradio gives them one by one, the handler gets the record.

    A field may be such a record itself.
    """


Filled = TypeVar("Filled", bound=Inputs)


def fields_of(record: type[Inputs]) -> Iterator[tuple[str, Any]]:
    """(name, type) of every component in a record, in the order of its fields."""
    for name, kind in get_type_hints(record).items():
        if _is_record(kind):
            yield from fields_of(kind)
        else:
            yield name, kind


def filled(record: type[Filled], values: Iterator[Any]) -> Filled:
    """The record with its components' values, taken from the front of `values`."""
    kinds = get_type_hints(record).values()
    return record(*(filled(kind, values) if _is_record(kind) else next(values) for kind in kinds))


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Inputs)


def shown(handler: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """The handler with some arguments fixed, its records filled, and its KfaarErrors shown as sentences.

    Gradio reads names, types and defaults from the signature (for gr.Progress, gr.Request and the endpoints), so the
    answer carries the handler's own, without the fixed arguments and with the components of its records.
    """
    types = get_type_hints(handler)
    signature = inspect.signature(handler)
    kept = [
        parameter.replace(annotation=types.get(name, parameter.annotation))
        for name, parameter in signature.parameters.items()
        if name not in fixed
    ]
    records = [parameter.annotation for parameter in kept if _is_record(parameter.annotation)]  # they stand first

    def call(*values: Any) -> Any:
        rest = iter(values)
        given = [filled(record, rest) for record in records]
        try:
            return handler(*given, *rest, **fixed)
        except KfaarError as error:
            raise gr.Error(str(error), title=words.ERROR_TITLE, print_exception=False, duration=None) from error
        except Stopped:
            raise gr.Error(words.STOPPED, title=words.STOPPED_TITLE, print_exception=False) from None

    flat: list[inspect.Parameter] = []
    for parameter in kept:
        if _is_record(parameter.annotation):
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            flat += [inspect.Parameter(name, kind, annotation=hint) for name, hint in fields_of(parameter.annotation)]
        else:
            flat.append(parameter)
    call.__name__ = handler.__name__  # gradio names the endpoint after it
    call.__doc__ = handler.__doc__
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in flat} | {
        name: kind for name, kind in types.items() if name == "return"
    }
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=flat, return_annotation=types.get("return", signature.return_annotation)
    )
    return call
