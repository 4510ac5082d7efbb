"""Imports run one way: cli -> compare -> ... -> record, findings -> quantities -> statistics, harness -> detectors ->
torch. No arrow turns back."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DRAWERS = {"utils", "util", "common", "helpers", "misc"}
ALLOWED_OF_DETECTORS = {"detectors", "detectors.contract", "detectors.plugins"}
REPORTING = (
    *("claims", "tables", "report", "figures", "reports", "summary", "side_by_side", "likeness", "terminal", "trust"),
    *("statistics", "accuracy", "coco", "runs", "record", "storage", "gate", "gates", "baseline", "jobsummary"),
    *("findings", "quantities", "rendering", "surroundings", "networks", "plan", "presets", "needs", "reproduction"),
    *("frames", "tidy", "publish", "publication", "adopt", "training_time"),
    *("papertables", "verdicts", "traceability", "tracing", "freshness", "schemas", "forms", "webpage"),
    *("relations", "relations_file", "grounds", "contenders", "relating", "scoreboard", "scoreboards"),
)
"""Within harness: modules, and folders with all that is in them, that load no torch until it is needed."""
LAYERS = ("cli", "reproduce", "compare", "training", "replicate", "measuring", "manifest", "preparation", "plan")
"""Within harness: each may import those that come after it, and none before it."""
JUDGING = ("findings", "quantities", "statistics")
"""Folders and a module within harness: each may import those that come after it, and none before it."""


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module of both packages."""
    for package in ("harness", "detectors"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> set[str]:
    """Modules that a file imports anywhere, in functions and under TYPE_CHECKING, too.

    ``from package import name`` counts as the package and as ``package.name``, which may be a module.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.add("." * node.level)
            else:
                found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def forbidden(module: str, imported: str, known: set[str]) -> str | None:
    """Why `module` must not import `imported`; None where it may."""
    methods = {name for name in known if name.count(".") == 1 and inside(name, "detectors")}
    methods -= {"detectors.contract", "detectors.parts"}
    if imported.startswith("."):
        return "imports are absolute"
    if inside(module, "detectors"):
        if inside(imported, "harness"):
            return "detectors know nothing of the harness"
        if inside(module, "detectors.parts") and imported in methods:
            return "a part imports no method"
        if module in methods and imported in methods:
            return "methods never import each other"
    elif imported in known and inside(imported, "detectors") and imported not in ALLOWED_OF_DETECTORS:
        return "the harness knows detectors by names, load and contract alone"
    own, other = folder(module), folder(imported)
    if own and other in LAYERS and own != other:
        if own not in LAYERS and other != "plan":
            return "an arrow turns back"
        if own in LAYERS and LAYERS.index(other) <= LAYERS.index(own):
            return "an arrow turns back"
    return forbidden_to_judges(folder(module), folder(imported))


def folder(name: str) -> str:
    """What stands first within harness: a folder or a module; nothing outside harness."""
    return name.split(".")[1] if name.startswith("harness.") else ""


def forbidden_to_judges(own: str, other: str) -> str | None:
    """Why something in the first folder of harness must not import something in the second."""
    if own in JUDGING and other in JUDGING and JUDGING.index(other) < JUDGING.index(own):
        return "findings judge quantities, and quantities are made by statistics"
    if own in JUDGING and other == "rendering":
        return "what is found does not know how it is shown"
    if own in (*JUDGING, "rendering") and other == "surroundings":
        return "a run is judged by what it kept, and not by the machine that reports it"
    if own == "surroundings" and other in (*JUDGING, "rendering"):
        return "the machine is looked at without a run"
    return None


def violations(root: Path) -> list[str]:
    """One line for each arrow that turns back and each file that is a drawer."""
    files = dict(modules(root))
    found = [f"{name}: a drawer, not a noun" for name in files if name.rpartition(".")[2] in DRAWERS]
    for name, path in files.items():
        for imported in sorted(imports(path)):
            reason = forbidden(name, imported, set(files))
            if reason:
                found.append(f"{name} imports {imported}: {reason}")
    return found + cycles(files)


def cycles(files: dict[str, Path]) -> list[str]:
    """Modules of harness that import each other, directly or by others; a package's own __init__ left aside."""
    arrows = {
        name: {other for other in imports(path) if other in files and other != name and not inside(name, other)}
        for name, path in files.items()
        if inside(name, "harness")
    }
    found = []
    for start in arrows:
        reached, todo = set[str](), list(arrows[start])
        while todo:
            name = todo.pop()
            if name not in reached:
                reached.add(name)
                todo += arrows.get(name, ())
        if start in reached:
            found.append(f"{start} imports itself by way of others")
    return found


def test_no_arrow_turns_back() -> None:
    """The tree keeps the order that design and CONTRIBUTING promise."""
    assert violations(ROOT) == []


def test_both_packages_are_walked() -> None:
    """A test that looks at nothing passes always."""
    names = {name for name, _ in modules(ROOT)}
    expected = {"harness.cli", "harness.datasets.voc", "detectors.rcnn", "detectors.parts.pooling", "harness"}
    assert expected <= names
    reporting = set(reporting_modules())
    assert {"harness.trust", "harness.quantities.scores", "harness.surroundings.checks.gpu"} <= reporting <= names


@pytest.mark.parametrize("layer", [*LAYERS, *JUDGING, *REPORTING, "rendering", "surroundings"])
def test_rules_are_about_what_exists(layer: str) -> None:
    """A rule for a module that was renamed holds nothing."""
    assert any(inside(name, f"harness.{layer}") for name, _ in modules(ROOT))


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("detectors/rcnn.py", "from harness.timing import measure", "detectors know nothing of the harness"),
        ("detectors/rcnn.py", "def f():\n    import harness", "detectors know nothing of the harness"),
        ("detectors/rcnn.py", "from detectors.spp import SPP", "methods never import each other"),
        ("detectors/rcnn.py", "from detectors import spp", "methods never import each other"),
        ("detectors/parts/boxes.py", "import detectors.rcnn", "a part imports no method"),
        ("detectors/parts/boxes.py", "from . import crops", "imports are absolute"),
        ("detectors/parts/utils.py", "", "a drawer, not a noun"),
        ("harness/plan.py", "from detectors.parts import boxes", "by names, load and contract alone"),
        ("harness/plan.py", "from detectors.rcnn import RCNN", "by names, load and contract alone"),
        ("harness/plan.py", "def f():\n    from harness.compare import compare", "an arrow turns back"),
        ("harness/compare.py", "import harness.cli", "an arrow turns back"),
        ("harness/runs.py", "from harness import compare", "an arrow turns back"),
        ("harness/record.py", "from harness.runs import RunFolder", "imports itself by way of others"),
        ("harness/quantities/costs.py", "from harness.findings import trend", "findings judge quantities"),
        ("harness/quantities/costs.py", "import harness.findings.trend", "findings judge quantities"),
        ("harness/statistics.py", "from harness.quantities.speedups import geometric", "findings judge quantities"),
        ("harness/statistics.py", "from harness import findings", "findings judge quantities"),
        ("harness/findings/trend.py", "from harness.rendering import cells", "how it is shown"),
        ("harness/quantities/costs.py", "def f():\n    from harness.rendering.cells import table", "how it is shown"),
        ("harness/findings/trend.py", "from harness.surroundings.load import LoadMeter", "by what it kept"),
        ("harness/surroundings/load.py", "from harness.statistics import Estimate", "without a run"),
        ("harness/surroundings/load.py", "from harness.manifest import new_manifest", "an arrow turns back"),
    ],
)
def test_a_planted_arrow_is_found(tmp_path: Path, file: str, text: str, words: str) -> None:
    """Each rule fails on a tree that breaks it, and on nothing else."""
    planted = {
        "detectors/__init__.py": "",
        "detectors/contract.py": "import torch",
        "detectors/rcnn.py": "from detectors.parts.boxes import iou",
        "detectors/spp.py": "from detectors.contract import Stage",
        "detectors/parts/__init__.py": "",
        "detectors/parts/boxes.py": "",
        "detectors/parts/crops.py": "",
        "harness/__init__.py": "",
        "harness/cli.py": "from harness.compare import compare",
        "harness/compare.py": "import detectors\nfrom detectors.contract import Stage\nfrom harness.plan import Plan",
        "harness/plan.py": "",
        "harness/runs.py": "from harness.record import Sample",
        "harness/record.py": "",
        "harness/findings/__init__.py": "",
        "harness/findings/surroundings.py": "from harness import statistics\nfrom harness.quantities import costs",
        "harness/findings/trend.py": "from harness.findings import surroundings",
        "harness/quantities/__init__.py": "",
        "harness/quantities/costs.py": "from harness.statistics import Estimate",
        "harness/quantities/speedups.py": "",
        "harness/statistics.py": "",
        "harness/rendering/__init__.py": "",
        "harness/rendering/cells.py": "from harness.quantities.costs import lines",
        "harness/surroundings/__init__.py": "",
        "harness/surroundings/load.py": "",
    }
    for each, content in planted.items():
        path = tmp_path / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert violations(tmp_path) == []
    (tmp_path / file).write_text(text)
    found = violations(tmp_path)
    assert found
    assert any(words in line for line in found)


def loaded_with(statement: str) -> set[str]:
    """Top-level names of all modules that are loaded after a statement in a fresh process."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def reporting_modules() -> list[str]:
    """All modules that `REPORTING` names or holds."""
    return [name for name, _ in modules(ROOT) if folder(name) in REPORTING]


def test_the_reporting_path_loads_no_torch() -> None:
    """`harness report` runs on a machine without torch; nothing of it, nor of the doctor's, loads torch by a detour."""
    loaded = loaded_with(f"import {', '.join(reporting_modules())}")
    assert "numpy" in loaded
    assert loaded.isdisjoint({"torch", "torchvision", "cv2", "sklearn"})


def test_data_sets_and_proposals_load_no_torch() -> None:
    """Proposal workers start in a fraction of a second."""
    places = (
        "datasets.voc",
        "datasets.shapes",
        "data",
        *(f"proposals.{name}" for name in ("cache", "precomputed", "uniform")),
    )
    names = ", ".join(f"harness.{place}" for place in places)
    assert "torch" not in loaded_with(f"import {names}")


def test_listing_the_methods_loads_no_torch() -> None:
    """A wrong name is refused at once."""
    assert "torch" not in loaded_with("import detectors\ndetectors.names()")
