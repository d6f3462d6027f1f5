"""README and docs: links lead somewhere, commands exist, and every example runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.main import get_command

import kfaar_core.__main__ as commands
from benchmarks.serving import serving
from kfaar_core import methods, pipeline
from kfaar_core.data.synthetic import SYNTHETIC
from kfaar_core.evaluate.runner import Evaluation, run
from kfaar_core.keys import UserKey
from kfaar_core.nets.projector_net import LEADING
from kfaar_core.presets import TINY
from kfaar_core.results import load_result
from kfaar_core.train import __main__ as training

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
)
ARXIV = "2409.03434"
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
PATH = re.compile(r"`((?:kfaar_core|demo|benchmarks|assets|tests|stages|nets|train|methods)/[\w./-]*)`")
COMMAND = re.compile(r"python -m (kfaar_core|kfaar_core\.train) ([a-z]+)([^\n`]*)")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str) -> list[str]:
    """The Python examples of a file."""
    return re.findall(r"```python\n(.*?)```", text(name), re.DOTALL)


@pytest.mark.parametrize("name", FILES)
def test_every_link_leads_to_a_file(name):
    links = [link for link in LINK.findall(text(name)) if not link.startswith("http")]
    assert not [link for link in links if not (ROOT / name).parent.joinpath(link).exists()]


@pytest.mark.parametrize("name", FILES)
def test_every_path_that_is_named_exists(name):
    named = {path.replace("NAME", "floor") for path in PATH.findall(text(name))}
    assert not [path for path in named if not any((ROOT / top / path).exists() for top in ("", "kfaar_core"))]


@pytest.mark.parametrize("name", FILES)
def test_every_command_and_option_exists(name):
    apps = {"kfaar_core": get_command(commands.app), "kfaar_core.train": get_command(training.app)}
    for module, command, rest in COMMAND.findall(text(name)):
        app = apps[module]
        assert command in app.commands, f"{module} {command}"
        asked_for = app.commands[command]
        while hasattr(asked_for, "commands"):  # a group: the next word is its command
            asked_for = asked_for.commands[rest.split()[0]]
        known = {option for parameter in asked_for.params for option in parameter.opts}
        asked = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest.partition("#")[0]))
        assert asked <= known, f"{module} {command}: {asked - known}"


@pytest.mark.parametrize("name", FILES)
def test_every_make_target_exists(name):
    targets = set(re.findall(r"^([\w-]+):", text("Makefile"), re.MULTILINE))
    shell = "\n".join(re.findall(r"^```\n(.*?)^```", text(name), re.DOTALL | re.MULTILINE))
    assert set(re.findall(r"^make ([\w-]+)", shell, re.MULTILINE)) <= targets


@pytest.mark.parametrize("name", FILES)
def test_no_history(name):
    assert not re.search(r"\bcommit [0-9a-f]{6,}", text(name))


def test_the_index_has_every_page():
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(LINK.findall(text("docs/README.md")))


def test_the_readme_is_short_and_leads_to_the_papers_page():
    readme = text("README.md")
    assert len(readme.splitlines()) <= 150
    assert f"arxiv:{ARXIV}" in yaml.safe_load(readme.split("---\n")[1])["tags"]
    assert f"https://huggingface.co/papers/{ARXIV}" in readme and f"https://arxiv.org/abs/{ARXIV}" in readme
    assert (ROOT / "assets/screenshots/teaser.jpg").stat().st_size < 400_000


def test_the_citation_names_the_paper_and_no_invented_person():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["authors"] == [{"name": "KFAAR lab contributors"}]
    paper = citation["preferred-citation"]
    assert f"arXiv:{ARXIV}" in [entry["value"] for entry in paper["identifiers"]]
    assert all(author["family-names"] in text("README.md") for author in paper["authors"])


def test_the_glossary_explains_each_term_once_and_every_method():
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", text("docs/glossary.md"), re.MULTILINE)
    terms = [term.strip() for here, _, _ in rows for term in here.split(",") if here not in ("here", "---")]
    assert len(terms) > 70 and sorted(terms) == sorted(set(terms))
    assert all(f"`{method}`" in text("docs/glossary.md") for method in methods.names())


def test_the_example_of_the_readme_runs(monkeypatch, capsys):
    """On random networks: what it calls exists and fits together."""
    monkeypatch.chdir(ROOT)
    example, _ = blocks("README.md")
    exec(compile(example.replace('"lab"', '"tiny"'), "README.md", "exec"), {})
    assert "same_person=" in capsys.readouterr().out


@pytest.mark.slow
def test_the_example_for_other_programs_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    _, example = blocks("README.md")
    with serving((sys.executable, "app.py", "--preset", "tiny", "--port")) as app:
        exec(compile(example.replace("http://127.0.0.1:7860", app.address), "README.md", "exec"), {})
    assert re.search(r"^(True|False) (True|False)$", capsys.readouterr().out, re.MULTILINE)


@pytest.fixture
def spread(tmp_path, monkeypatch) -> str:
    """The method of docs/add-a-method.md as a file in a folder of one's own."""
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "spread.py").write_text(blocks("docs/add-a-method.md")[0])
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path / "methods")])
    yield "spread"
    sys.modules.pop("kfaar_core.methods.spread", None)
    methods._imported.cache_clear()


def test_the_method_of_the_docs_runs_from_photo_to_table(spread, tmp_path):
    assert spread in methods.names() and "spread (example)" in [method.label for method in methods.registered()]
    asked = Evaluation(table="VI", data=SYNTHETIC, preset=methods.with_method(TINY, spread), limit=3, repetitions=1)
    path = run(asked, tmp_path / "out")
    result = load_result(path)
    assert result.method == spread and all(np.isfinite(scores.values).all() for scores in result.populations)
    assert sum(len(scores.values) for scores in result.populations) > 0


def test_the_method_of_the_docs_puts_the_code_where_it_reads_it(spread):
    """P and h alone, without pictures between them: the right key reads u."""
    stages = pipeline.load(methods.with_method(TINY, spread), device="cpu")
    feature, key = np.random.default_rng(0).standard_normal(stages.identity.width), UserKey.generate(256)
    v = stages.projector.space.of_w(stages.projector(feature, key).latent)
    styles = v[:, :LEADING].flatten().numpy()
    features = np.concatenate([np.zeros(stages.identity.width), styles, np.ones(5)])
    read = stages.identifier.virtual(features, key)
    np.testing.assert_allclose(read, stages.identity(feature), atol=1e-5)
    assert abs(stages.identifier.virtual(features, key.flip([0])) @ read) < 0.99


def test_the_metric_of_the_docs_passes_its_own_tests():
    metric, tests = blocks("docs/add-a-metric.md")
    found: dict[str, object] = {}
    exec(compile(f"{metric}\n{tests}", "docs/add-a-metric.md", "exec"), found)
    passed = [test() for name, test in found.items() if name.startswith("test_") and callable(test)]
    assert len(passed) == 2
