"""The only bridge from the core's errors to what a visitor reads, and from records to gradio's lists of values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

import gradio as gr

from demo import words
from demo.records import Inputs, Outputs, fields_of, filled, flat, is_a
from demo.visitor import Stopped
from kfaar_core.errors import KfaarError


def shown(handler: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """The handler with some arguments fixed, its records filled and flattened, and its errors shown as sentences.

    An error stands where the answer would, if the answer's record knows how (Outputs.trouble); otherwise in a toast.
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
    records = [parameter.annotation for parameter in kept if is_a(parameter.annotation, Inputs)]  # they stand first
    answers = types.get("return")

    def given(values: tuple[Any, ...]) -> list[Any]:
        rest = iter(values)
        return [*[filled(record, rest) for record in records], *rest]

    def told(error: Exception) -> Any:
        """The error as an answer."""
        head, sentence = (
            (words.ERROR_TITLE, str(error)) if isinstance(error, KfaarError) else (words.STOPPED_TITLE, words.STOPPED)
        )
        stands = answers.trouble(head, sentence) if is_a(answers, Outputs) else None  # type: ignore[union-attr]
        if stands is None:
            raise gr.Error(sentence, title=head, print_exception=False, duration=None) from None
        return flat(stands)

    def call(*values: Any) -> Any:
        try:
            return flat(handler(*given(values), **fixed))
        except (KfaarError, Stopped) as error:
            return told(error)

    def call_in_steps(*values: Any) -> Iterator[Any]:
        try:
            for answer in handler(*given(values), **fixed):
                yield flat(answer)
        except (KfaarError, Stopped) as error:
            yield told(error)

    if inspect.isgeneratorfunction(handler):
        answers = getattr(answers, "__args__", [None])[0]  # of Iterator[Answer]
        call = call_in_steps
    parameters: list[inspect.Parameter] = []
    for parameter in kept:
        if is_a(parameter.annotation, Inputs):
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            parameters += [
                inspect.Parameter(name, kind, annotation=hint) for name, hint in fields_of(parameter.annotation)
            ]
        else:
            parameters.append(parameter)
    call.__name__ = handler.__name__  # gradio names the endpoint after it
    call.__doc__ = handler.__doc__
    answer_type = Any if is_a(answers, Outputs) else types.get("return", signature.return_annotation)
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": answer_type}
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=answer_type
    )
    return call
