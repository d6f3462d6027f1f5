"""Publish what was trained for a preset in a repository of the Hub: weights, cards, thresholds, scores, settings.

`KFAAR_HUB_REPO` makes the app and the command line read such a repository (kfaar_core.hub). Nothing but safetensors,
JSON, NumPy arrays without pickles and Markdown is uploaded; of photos and keys there is nothing in these folders.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from kfaar_core import calibration, cast, hub, methods, weights
from kfaar_core.errors import BadOutput, BadWeights
from kfaar_core.manifest import write_manifest
from kfaar_core.presets import PUBLISHED_PRESET, Preset
from kfaar_core.weights import Asset

ROOT = Path(__file__).resolve().parents[1]
SCORES = ROOT / "assets" / "scores"
SUFFIXES = (".safetensors", ".json", ".npz", ".md")


def own_weights(preset: Preset) -> list[weights.Weight]:
    """The weights of a preset that this project carries or trained, those that are here."""
    names = {weights.trained_for(preset.name, n) for method in methods.registered() for n in method.all_weights()}
    shared = cast.needed(preset) if preset.name == "lab" else ()
    listed = [weights.entry(name) for name in sorted({*names, *shared})]
    if preset.name != "lab":  # networks that every preset shares are in the repository of the code
        listed = [weight for weight in listed if "/" in weight.name]
    return [weight for weight in listed if Asset() in weight.sources and weights.find(weight.name) is not None]


@contextmanager
def staged(preset: Preset, repository: str) -> Iterator[Path]:
    """A temporary folder with everything that is published.

    Raises:
        BadWeights: nothing was trained for the preset, or a file is altered.
    """
    chosen = own_weights(preset)
    if not chosen:
        raise BadWeights(
            got=f"nothing was trained for the preset {preset.name}",
            mend=f"run python -m kfaar_core.train all --preset {preset.name} first",
        )
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for weight in chosen:
            path, target = weights.verify(weight.name), folder / "weights" / weight.file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            card = path.with_name(f"{path.stem}.card.json")
            if card.is_file():
                shutil.copyfile(card, target.with_name(card.name))
        write_manifest(folder / "weights")
        for kind, ours in (("thresholds", calibration.FOLDER), ("scores", SCORES)):
            source = hub.folder(kind, ours)
            for path in sorted(source.rglob(f"{preset.name}-*")):
                if path.suffix in SUFFIXES:
                    target = folder / kind / path.relative_to(source)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
        (folder / PUBLISHED_PRESET).write_text(json.dumps(asdict(preset), indent=2) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(card_text(preset, repository, chosen), encoding="utf-8")
        for name in ("LICENSE", "NOTICE"):
            shutil.copyfile(ROOT / name, folder / name)
        yield folder


def card_text(preset: Preset, repository: str, chosen: list[weights.Weight]) -> str:
    """The model card of the repository."""
    from huggingface_hub import ModelCardData

    others = [weights.entry(name) for name in cast.needed(preset) if name in cast.PUBLISHED]
    meta = ModelCardData(
        license="other",
        license_name="apache-2.0-with-terms-of-others",
        license_link="NOTICE",
        library_name="kfaar",
        tags=["face-anonymization", "privacy", "biometrics", "arxiv:2409.03434"],
    )
    files = [
        f"| `weights/{each.file}` | {weights.pin_of(each).sha256} | {each.licence_weights} | {each.licence_data} |"
        for each in chosen
    ]
    terms = [f"- {sentence}" for sentence in weights.terms(others)]
    if terms:
        terms = ["Networks of others, which are downloaded from where they were published:", "", *terms, ""]
    return "\n".join(
        [
            "---",
            meta.to_yaml(),
            "---",
            f"# KFAAR, preset {preset.name}",
            "",
            "Weights, thresholds and scores of a keyed face anonymisation (arXiv 2409.03434). Use them with",
            "",
            "```",
            f"export {hub.REPOSITORY_VARIABLE}={repository}",
            f"python -m kfaar_core info --preset {preset.name}",
            "```",
            "",
            *(
                ["Networks of others, which are downloaded from where they were published:", "", *terms, ""]
                * bool(terms)
            ),
            "| file | sha256 | licence | trained on |",
            "| --- | --- | --- | --- |",
            *files,
            "",
            "Limits: " + " ".join(dict.fromkeys(weight.limits for weight in chosen if weight.limits)),
            "",
        ]
    )


def push(preset: Preset, repository: str, private: bool = False, say: Callable[[str], None] = print) -> str:
    """Upload a preset's own weights, cards, thresholds, scores and settings to a model repository.

    Args:
        repository: owner/name; it is made if there is none.
        private: of a new repository.
        say: gets what is uploaded, before the upload.

    Returns:
        owner/name@commit, for KFAAR_HUB_REPO.

    Raises:
        BadSetting: not of the form owner/name. BadWeights: nothing was trained, or a file is altered.
        BadOutput: the Hub did not take it.
    """
    from huggingface_hub import HfApi

    name, _ = hub.split_repository(repository)
    with staged(preset, name) as folder:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        size = sum(path.stat().st_size for path in files)
        say(f"{len(files)} files, {size / 1e6:.1f} MB, go to {name}: " + ", ".join(sorted({p.suffix for p in files})))
        try:
            api = HfApi()
            api.create_repo(name, private=private, exist_ok=True)
            commit = api.upload_folder(repo_id=name, folder_path=folder, commit_message=f"KFAAR, preset {preset.name}")
        except Exception as error:  # of HTTP, of its own, of the file system
            raise BadOutput(
                got=f"the Hub did not take the files of {name} ({type(error).__name__})",
                mend="log in with hf auth login, with a token that may write there, then run the command again",
            ) from error
    return f"{name}@{commit.oid}"
