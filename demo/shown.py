"""The only bridge from the core's errors to what a visitor reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import gradio as gr

from demo import words
from demo.visitor import Stopped
from kfaar_core.errors import KfaarError


def shown(handler: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """The handler with some arguments fixed, its KfaarErrors shown as sentences.

    Gradio reads names, types and defaults from the signature (for gr.Progress, gr.Request and the endpoints), so the
    answer carries the handler's own, without the fixed arguments.
    """

    def call(*values: Any) -> Any:
        try:
            return handler(*values, **fixed)
        except KfaarError as error:
            raise gr.Error(str(error), title=words.ERROR_TITLE, print_exception=False, duration=None) from error
        except Stopped:
            raise gr.Error(words.STOPPED, title=words.STOPPED_TITLE, print_exception=False) from None

    types = get_type_hints(handler)
    signature = inspect.signature(handler)
    kept = [
        parameter.replace(annotation=types.get(name, parameter.annotation))
        for name, parameter in signature.parameters.items()
        if name not in fixed
    ]
    call.__name__ = handler.__name__  # gradio names the endpoint after it
    call.__doc__ = handler.__doc__
    call.__annotations__ = {name: kind for name, kind in types.items() if name not in fixed}
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=kept, return_annotation=types.get("return", signature.return_annotation)
    )
    return call
