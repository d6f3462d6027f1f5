"""The target of a method for a figure: the method's own, the project's, or the paper's figure."""

from __future__ import annotations

from kfaar_core import methods
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.targets import TARGETS, Target


def target(figure: str, dataset: str, method: str) -> Target | None:
    """The target of a method for a figure; None if there is none.

    Args:
        figure: as in kfaar_core.targets.
        dataset: for targets that are the paper's figure.
        method: name of the method.

    Raises:
        BadSetting: an unknown method.
    """
    bound = methods.get(method).targets.get(figure, TARGETS.get(figure))
    if bound is None or not bound.below_paper:
        return bound
    paper = paper_figure("VII", figure, dataset)
    return None if paper is None else Target(below=paper)
