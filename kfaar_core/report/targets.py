"""What a method is held against for a printed figure: its own bound, the project's, or the paper's figure."""

from __future__ import annotations

from kfaar_core import methods
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.targets import TARGETS, Target


def target(figure: str, dataset: str, method: str) -> Target | None:
    """What a method is held against, or None.

    Raises:
        BadSetting: an unknown method.
    """
    found = methods.get(method).targets.get(figure, TARGETS.get(figure))
    if found is None or not found.below_paper:
        return found
    paper = paper_figure("VII", figure, dataset)
    return None if paper is None else Target(below=paper)
