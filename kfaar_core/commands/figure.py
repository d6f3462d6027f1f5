"""The command `figure`: Fig. 5 to Fig. 10 of the paper from this program's own faces, scores and training runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kfaar_core.commands.options import Device, Force, MethodName, PresetName, Threads, load_stages, settings_of
from kfaar_core.errors import BadSetting

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = "assets/examples/person-?.png"
SCORES = ROOT / "assets/scores/lab-hashed-lfw-vi-shared.json"
SWEPT = {"9b": ("kvfa", ("AUC",)), "10": ("projector", ("AUC", "anonymity", "diversity"))}  # part, figures drawn
NUMBERS = ("5", "6", "7", "8", "9a", *SWEPT)
FILES = "5 to 8: photos, by default the synthetic examples; 9a: a result of Table VI"
AT = "9b, 10: the weights that each loss gets in turn"
STEPS = "9b, 10: name=value, for any number of train.settings, such as keyed_steps=200 for a small run"


def figure(
    number: Annotated[str, typer.Argument(metavar="|".join(NUMBERS), help="of the paper")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="a PNG; 9a, 9b, 10: a web page")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help=FILES)] = None,
    preset: PresetName = "lab",
    method: MethodName = None,
    quick: Annotated[bool, typer.Option("--quick", help="5 to 8: without refinement, several times as fast")] = False,
    seed: Annotated[int, typer.Option("--seed", help="of the keys of 5 to 8")] = 0,
    at: Annotated[str, typer.Option("--at", metavar="W,W,...", help=AT)] = "0.1,0.4,0.7,1",
    settings: Annotated[list[str], typer.Option("--set", help=STEPS)] = [],  # noqa: B006
    data: Annotated[str, typer.Option("--data", help="9b, 10: LFW")] = "lfw",
    device: Device = "auto",
    threads: Threads = 0,
    force: Force = False,
) -> None:
    """Draw one figure of the paper: a gallery of faces (5 to 8), or a curve; 9b and 10 train for it."""
    from kfaar_core.files import write_whole

    if number not in NUMBERS:
        raise BadSetting(got=f"the figure {number!r}", mend=f"choose one of {', '.join(NUMBERS)}")
    if number == "9a":
        drawn = rates(files[0] if files else SCORES)
    elif number in SWEPT:
        drawn = swept(number, weights_of(at), tuple(settings), data)
    else:
        maker_settings = settings_of(preset, method), device, threads
        write_whole(output, gallery(number, files or [], load_stages(*maker_settings), (seed, not quick)), force=force)
        typer.echo(str(output))
        return
    write_whole(output, drawn.to_html(include_plotlyjs=True).encode(), force=force)
    typer.echo(str(output))


def gallery(number: str, files: list[Path], stages: Any, how: tuple[int, bool]) -> bytes:
    """Fig. 5 to Fig. 8 as a PNG.

    Args:
        files: photos; none takes the examples.
        how: seed of the keys, and whether faces are refined.
    """
    from tqdm import tqdm

    from kfaar_core.evaluate import galleries
    from kfaar_core.image import encoded, open_photo
    from kfaar_core.report.gallery import sheet
    from kfaar_core.servers import AnonymisationServer

    photos = [open_photo(path) for path in files or sorted(ROOT.glob(EXAMPLES))]
    maker = galleries.Maker(AnonymisationServer(stages), stages.preset.key_bits, *how)
    with tqdm(unit="photo", total=len(photos), file=sys.stderr, disable=not sys.stderr.isatty(), leave=False) as bar:
        drawn = galleries.gallery(number, maker, photos, lambda done, _: bar.update(done - bar.n))
    return encoded(sheet(drawn), "PNG", pasted=True)


def rates(path: Path) -> Any:
    """Fig. 9a: decisions by threshold, from a result of Table VI."""
    from kfaar_core.errors import DataMissing
    from kfaar_core.report.page import figures_of
    from kfaar_core.results import load_result

    found = [drawn for caption, drawn in figures_of(load_result(path)).items() if caption.startswith("Fig. 9a")]
    if not found:
        raise DataMissing(got=f"{path.name} has no genuine and impostor scores", mend="give a result of Table VI")
    return found[0]


def weights_of(text: str) -> tuple[float, ...]:
    """The weights of --at.

    Raises:
        BadSetting: something else than numbers, or a negative one.
    """
    try:
        weights = tuple(float(word) for word in text.split(","))
    except ValueError:
        weights = (-1.0,)
    if min(weights) < 0:
        raise BadSetting(got="weights that are no numbers from 0 up", mend="give them as 0.1,0.4,0.7,1")
    return weights


def swept(number: str, weights: tuple[float, ...], settings: tuple[str, ...], data: str) -> Any:
    """Fig. 9b or Fig. 10: train with each loss at each weight, the others as they are. Its progress is logged."""
    import logging

    from kfaar_core.commands.ablation import Ablation, table_of
    from kfaar_core.evaluate.ablation import sweep
    from kfaar_core.losses import KVFA_TERMS, PROJECTOR_TERMS
    from kfaar_core.report.plots import Line, weights_of_losses

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    part, names = SWEPT[number]
    terms = KVFA_TERMS if part == "kvfa" else PROJECTOR_TERMS
    asked = Ablation(part, data, Path("assets/weights"), settings, seeds=1, resume=True, variants=sweep(terms, weights))
    table, _ = table_of(asked)
    rows = {row.name: row for row in table.rows}

    def line(name: str, term: str) -> Line:
        found = [rows[f"{name}, {term} {weight:g}"] for weight in weights]
        spread = ([getattr(row, part) for row in found] for part in ("value", "low", "high"))
        return Line(term, weights, *spread)

    return weights_of_losses({name: [line(name, term) for term in terms] for name in names})
