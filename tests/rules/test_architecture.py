"""Rules that hold over the whole tree, read from the source without importing it."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from kfaar_core.methods import NO_METHODS

ROOT = Path(__file__).resolve().parents[2]
CODE = ("kfaar_core/", "demo/", "benchmarks/", "app.py")
TEXT = {".py", ".md", ".txt", ".toml", ".json", ".css", ".yml", ".yaml", ".cfg", ".ini", ".sh", ""}

# The modules and packages of the core from the bottom upwards: none imports one that stands below it in this list.
ORDER = (
    "errors",
    "files",
    "cores",
    "hub",
    "mark",
    "keys",
    "keyring",
    "key_schedule",
    "records",
    "enrolment",
    "presets",
    "targets",
    "paper",
    "runtime",
    "image",
    "quantised",
    "weights",
    "checkpoints",
    "manifest",
    "torchvision_shim",
    "calibration",
    "metrics",
    "nets",
    "losses",
    "stages",
    "cast",
    "methods",
    "assemble",
    "pipeline",
    "tries",
    "servers",
    "scenarios",
    "data",
    "results",
    "report",
    "train",
    "evaluate",
    "attacks",
    "publish",
    "convert",
    "commands",
    "__main__",
)
FORBIDDEN = {  # what a part may not know besides
    "kfaar_core/": ("gradio", "demo", "app"),
    "demo/": ("torch", "torchvision", "facenet_pytorch", "openvino", "kfaar_core.nets", "kfaar_core.train"),
    "kfaar_core/keys.py": ("torch",),
    "kfaar_core/key_schedule.py": ("torch",),
    "kfaar_core/keyring.py": ("torch",),
    "kfaar_core/mark.py": ("torch",),
    "kfaar_core/records.py": ("torch",),
    "kfaar_core/metrics/": ("torch", "kfaar_core.weights"),
    "kfaar_core/nets/": ("kfaar_core.weights",),
    "kfaar_core/losses.py": ("kfaar_core.weights",),
    "kfaar_core/report/tables.py": ("torch", "kfaar_core.report.plots", "kfaar_core.pipeline"),
    "kfaar_core/report/plots.py": ("torch", "kfaar_core.pipeline"),
}
METHODS = "kfaar_core/methods/"
TAKEN_APART = {"group", "partition", "removeprefix", "removesuffix", "rpartition", "rsplit", "split", "stem"}
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


def place_of(name: str) -> int:
    """Where a file of the core stands in ORDER."""
    return ORDER.index(Path(name).parts[1].removesuffix(".py"))


def climbs(name: str, module: ast.AST) -> list[str]:
    """What a file of the core imports from above itself."""
    own = [found.split(".")[1] for found in imported(module) if found.startswith("kfaar_core.")]
    return [f"{name} imports {part}" for part in own if ORDER.index(part) > place_of(name)]


def test_every_part_of_the_core_has_its_place():
    parts = {Path(name).parts[1].removesuffix(".py") for name in sources() if name.startswith("kfaar_core/")}
    assert parts - {"__init__"} == set(ORDER) and len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("part", ORDER)
def test_no_part_of_the_core_imports_what_stands_above_it(part):
    inside_part = [name for name in sources() if re.match(rf"kfaar_core/{part}(/|\.py$)", name)]
    assert inside_part
    assert [found for name in inside_part for found in climbs(name, tree(name))] == []


def test_the_rule_sees_an_import_that_climbs():
    inner = ast.parse("def f():\n    from kfaar_core.pipeline import load\n    from kfaar_core import files, train")
    assert climbs("kfaar_core/stages/place.py", inner) == [
        "kfaar_core/stages/place.py imports pipeline",
        "kfaar_core/stages/place.py imports train",
    ]
    assert climbs("kfaar_core/__main__.py", inner) == []


def method_names() -> set[str]:
    """Of their files."""
    return {Path(name).stem for name in sources() if name.startswith(METHODS)} - {"__init__", *NO_METHODS}


def test_methods_do_not_import_each_other():
    for name in sources():
        if name.startswith(METHODS) and Path(name).stem in method_names():
            others = method_names() - {Path(name).stem}
            found = [module for module in imported(tree(name)) if module.startswith("kfaar_core.methods.")]
            assert not [module for module in found if module.split(".")[2] in others], name


def compared_names(module: ast.AST, names: set[str]) -> Iterator[str]:
    """Methods' names on either side of a comparison, alone or in a list, and in the cases of a match."""
    for node in ast.walk(module):
        if isinstance(node, ast.Compare | ast.MatchValue):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and part.value in names:
                    yield f"line {node.lineno}: {part.value}"


def numbers_in_names(module: ast.AST) -> Iterator[str]:
    """int(...) of a piece of a name or path, such as the 128 of kvfa_bits_128; a piece of a `line` is no name."""
    for call in calls(module, "int"):
        for part in ast.walk(call):
            taken = isinstance(part, ast.Attribute) and part.attr in TAKEN_APART
            if taken and ast.unparse(part.value) != "line":
                yield f"line {call.lineno}: {ast.unparse(call)}"


def beside_methods() -> list[str]:
    return [name for name in sources() if not name.startswith((METHODS, "kfaar_core/train/"))]


def test_nothing_is_decided_by_a_methods_name():
    """What differs between methods is asked of the method."""
    assert {"floor", "hashed", "bits"} <= method_names()
    found = {name: list(compared_names(tree(name), method_names())) for name in beside_methods()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_no_number_is_read_out_of_the_name_of_a_weight():
    """A key length, say: a method lists those that it has weights for."""
    found = {name: list(numbers_in_names(tree(name))) for name in beside_methods()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_the_rules_see_a_name_that_decides_and_a_number_in_a_name():
    for decides in ('x == "bits"', '"bits" in x', 'x in ("floor", "bits")', 'match x:\n    case "bits": pass'):
        assert len(list(compared_names(ast.parse(decides), {"bits"}))) == 1, decides
    assert not list(compared_names(ast.parse('Preset(method="bits"); x == key.bits'), {"bits"}))
    for number in ('int(name.rpartition("_")[2])', 'int(re.search("[0-9]+", name).group())', "int(path.stem[-3:])"):
        assert list(numbers_in_names(ast.parse(number))), number
    assert not list(numbers_in_names(ast.parse("int(x) + int(len(y))")))


@pytest.mark.parametrize("part", FORBIDDEN)
def test_what_a_part_may_not_know(part):
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


MOST_ARGUMENTS = 6
FROM_GRADIO = {"gr.Request", "gr.Progress"}  # found by their types; no caller gives them


def many_arguments(module: ast.AST) -> list[str]:
    """Functions with more than MOST_ARGUMENTS that are not decorated as commands."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and not any("command" in ast.unparse(d) for d in node.decorator_list):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            given = [a for a in every if a.annotation is None or ast.unparse(a.annotation) not in FROM_GRADIO]
            found += [node.name] if len([a for a in given if a.arg not in ("self", "cls")]) > MOST_ARGUMENTS else []
    return found


def registered_commands() -> set[str]:
    """Those of the command line, as "module.function"."""
    loops = [node for node in tree("kfaar_core/__main__.py").body if isinstance(node, ast.For)]
    return {ast.unparse(command) for loop in loops for command in ast.walk(loop.iter)}


def test_no_function_takes_many_arguments():
    """But for commands, whose options typer takes from the signature, and networks, which are given their sizes."""
    commands = registered_commands()
    assert "anonymise.anonymise" in commands
    wrong = [
        f"{name}: {function}"
        for name in sources()
        for function in many_arguments(tree(name))
        if not (name.startswith("kfaar_core/commands/") and f"{Path(name).stem}.{function}" in commands)
        and not (name.startswith("kfaar_core/nets/") and function == "__init__")
    ]
    assert wrong == []


def test_the_rule_counts_what_a_caller_gives():
    assert many_arguments(ast.parse("def f(a, b, /, c, *, d, e, f, g): ...")) == ["f"]
    assert many_arguments(ast.parse("def f(self, a, b, c, d, e, f, r: gr.Request): ...")) == []


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
