"""The rooms of the house and which may import which, as docs/design.md lists them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "intertwine"
# A line of the list of rooms begins with one name or more: "- **`moments/`**: …".
NAMED = re.compile(r"^- ((?:\*\*`[a-z_/.]+`\*\*(?:, )?)+)", re.MULTILINE)


# Every module's file by its dotted name; a package's name stands for its `__init__`.
MODULES = {
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
    for file in PACKAGE.rglob("*.py")
}


def _imports(file: Path) -> set[str]:
    """Return our modules that a file imports anywhere: at its head, in functions, for types."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found & MODULES.keys()


IMPORTS = {name: _imports(file) - {name} for name, file in MODULES.items()}


def _between(group: dict[str, str]) -> dict[str, set[str]]:
    """Return which groups of modules each group imports."""
    arrows: dict[str, set[str]] = {name: set() for name in group.values()}
    for name, imported in IMPORTS.items():
        arrows[group[name]] |= {group[other] for other in imported} - {group[name]}
    return arrows


def _in_circles(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what is left once all that imports nothing, or that nothing imports, is taken away."""
    left = arrows
    while True:
        targets = set().union(*left.values())
        kept = {name: to & left.keys() for name, to in left.items() if to and name in targets}
        if kept == left:
            return left
        left = kept


# Where each module lies: in a folder, or alone beside the package's `__init__`.
PATHS = {name: file.relative_to(PACKAGE) for name, file in MODULES.items()}
FOLDERS = {name: f"{path.parent if path.parent.name else path}" for name, path in PATHS.items()}
ROOMS = {name: path.parts[0] + "/" * (len(path.parts) > 1) for name, path in PATHS.items()}


def _order() -> list[str]:
    """Return the rooms from the ground up, as the design lists them."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    house = text.split("\n## The house\n")[1].split("\n## ")[0]
    return [name for line in NAMED.findall(house) for name in re.findall("`([^`]+)`", line)]


@pytest.mark.parametrize("group", [{name: name for name in MODULES}, FOLDERS, ROOMS])
def test_no_imports_go_in_a_circle(group: dict[str, str]) -> None:
    """No module, folder or room imports itself through others, imports for types included."""
    assert _in_circles(_between(group)) == {}


def test_the_design_names_every_room_once() -> None:
    """The list of rooms in docs/design.md is exactly what lies in the package."""
    assert sorted(_order()) == sorted(set(ROOMS.values()))


def test_no_import_goes_up() -> None:
    """A module imports only from its own room and from rooms that the design lists before it."""
    height = {room: index for index, room in enumerate(_order())}
    up = [
        f"{name} imports {other}"
        for name, imported in IMPORTS.items()
        for other in imported
        if height[ROOMS[other]] > height[ROOMS[name]]
    ]
    assert up == []
