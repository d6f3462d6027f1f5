"""Rules that hold over the whole tree, read from the source without importing it."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("kfaar_core/", "demo/", "benchmarks/", "app.py")
TEXT = {".py", ".md", ".txt", ".toml", ".json", ".css", ".yml", ".yaml", ".cfg", ".ini", ".sh", ""}

# What a part may not know. Packages are listed from the bottom upwards.
UPPER = (
    "stages",
    "train",
    "pipeline",
    "scenarios",
    "methods",
    "evaluate",
    "tables",
    "plots",
    "commands",
    "__main__",
)
FORBIDDEN = {
    "kfaar_core/": ("gradio", "demo", "app"),
    "demo/": ("torch", "torchvision", "facenet_pytorch", "openvino", "kfaar_core.nets", "kfaar_core.train"),
    "kfaar_core/errors.py": ("kfaar_core",),
    "kfaar_core/keys.py": ("torch", *(f"kfaar_core.{name}" for name in ("nets", *UPPER))),
    "kfaar_core/key_schedule.py": ("torch", *(f"kfaar_core.{name}" for name in ("nets", *UPPER))),
    "kfaar_core/records.py": ("torch", *(f"kfaar_core.{name}" for name in ("nets", *UPPER))),
    "kfaar_core/image.py": tuple(f"kfaar_core.{name}" for name in ("nets", *UPPER)),
    "kfaar_core/weights.py": tuple(f"kfaar_core.{name}" for name in ("nets", *UPPER)),
    "kfaar_core/nets/": tuple(f"kfaar_core.{name}" for name in ("weights", *UPPER)),
    "kfaar_core/metrics/": ("torch", *(f"kfaar_core.{name}" for name in ("nets", "weights", *UPPER))),
    "kfaar_core/stages/": tuple(f"kfaar_core.{name}" for name in UPPER if name != "stages"),
    "kfaar_core/losses.py": tuple(f"kfaar_core.{name}" for name in UPPER),
    "kfaar_core/pipeline.py": tuple(f"kfaar_core.{name}" for name in ("train", *UPPER[3:])),
    "kfaar_core/train/": tuple(f"kfaar_core.{name}" for name in ("evaluate", "report", "commands", "__main__")),
    "kfaar_core/report/tables.py": ("torch", "kfaar_core.report.plots", "kfaar_core.pipeline", "kfaar_core.train"),
    "kfaar_core/report/plots.py": ("torch", "kfaar_core.pipeline", "kfaar_core.train"),
}
ONLY = {  # module -> the files that may import it
    "plotly": ("kfaar_core/report/plots.py",),
    "mediapipe": ("kfaar_core/data/landmarker.py",),
    "onnx": ("kfaar_core/convert/",),
    "typer": (
        "kfaar_core/__main__.py",
        "kfaar_core/commands/",
        "kfaar_core/convert/__main__.py",
        "kfaar_core/train/__main__.py",
    ),
    "pickle": (),
    "kfaar_core.__main__": (),
}
UNSAFE_TEXT = re.compile(r"(?<![\w.:/-])/(?:work|root|home|Users|mnt|opt)/\w")


@cache
def files() -> tuple[str, ...]:
    """Every file that is or would be committed, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:  # an unpacked archive, not a repository
        hidden = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
        names = [path.as_posix() for path in hidden if not any(part in (".venv", ".cache") for part in path.parts)]
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


def sources() -> list[str]:
    return [name for name in files() if name.endswith(".py") and name.startswith(CODE)]


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def imported(module: ast.AST) -> Iterator[str]:
    """Full names of what is imported anywhere in the module, inside functions too."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def calls(module: ast.AST, name: str) -> Iterator[ast.Call]:
    """Calls written as `name`, such as torch.load."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
            yield node


def test_the_tree_is_seen():
    assert {"kfaar_core/weights.py", "kfaar_core/torchvision_shim.py", "pyproject.toml"} <= set(files())
    assert len(sources()) >= 10


@pytest.mark.parametrize("part", FORBIDDEN)
def test_imports_point_down(part):
    wrong = [
        f"{name} imports {found}"
        for name in sources()
        if name.startswith(part)
        for found in imported(tree(name))
        if any(inside(found, module) for module in FORBIDDEN[part])
    ]
    assert not wrong


@pytest.mark.parametrize("module", ONLY)
def test_only_a_few_files_import_it(module):
    wrong = [
        name
        for name in sources()
        if not name.startswith(ONLY[module] or "-") and any(inside(found, module) for found in imported(tree(name)))
    ]
    assert not wrong


def test_no_star_and_no_relative_imports():
    for name in sources():
        assert not [found for found in imported(tree(name)) if found.endswith(".*")], name


def test_only_the_registry_loads_with_torch_and_only_tensors():
    for name in sources():
        found = list(calls(tree(name), "torch.load"))
        assert name == "kfaar_core/weights.py" or not found, f"{name} calls torch.load"
        for call in found:
            safe = [keyword.value for keyword in call.keywords if keyword.arg == "weights_only"]
            assert len(safe) == 1 and ast.unparse(safe[0]) == "True"
        assert not any(inside(found, "torch.load") for found in imported(tree(name))), f"{name} hides torch.load"


def test_numpy_never_unpickles():
    for name in sources():
        for call in (*calls(tree(name), "np.load"), *calls(tree(name), "numpy.load")):
            asked = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == "allow_pickle"]
            assert asked in ([], ["False"]), name


def test_only_the_commands_print():
    for name in sources():
        if name.startswith("kfaar_core/") and not name.endswith("__main__.py"):
            assert not list(calls(tree(name), "print")), f"{name} prints; use a logger"


def test_nothing_is_called_utils():
    for name in files():
        words = set(re.split(r"[\W_\d]+", Path(name).stem.lower()))
        assert not words & {"utils", "util", "helpers", "helper", "misc", "common"}, name


def test_no_machine_path_in_a_committed_file():
    for name in files():
        if Path(name).suffix in TEXT:
            text = (ROOT / name).read_text(encoding="utf-8")
            assert not UNSAFE_TEXT.search(text), f"{name}: {UNSAFE_TEXT.search(text)}"


def test_the_rule_sees_a_machine_path():
    for folder in ("root", "work", "home"):
        assert UNSAFE_TEXT.search(f'open("/{folder}/me/file")')
    assert not UNSAFE_TEXT.search("https://example.org/home/page and tests/work/one")


def test_what_stays_private_is_not_committed():
    for name in files():
        assert not name.endswith((".key", ".pyc", ".ckpt", ".task", ".parquet", ".whl", ".dat")), name
        assert not name.startswith((".venv/", ".cache/", "out/")), name
