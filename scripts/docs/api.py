# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference of the library, made of its stubs: the names, types and docstrings that type checkers and editors show.

mypy's stubgen makes the stubs. It leaves out what modules and constants say of themselves: that is read from their sources.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
MODULES = tuple(
    f"pylibsshext.{name}"
    for name in ("session", "keywords", "channel", "sftp", "scp", "mux.client", "policies", "errors", "logging")
)


@cache
def _made() -> TemporaryDirectory[str]:
    directory = TemporaryDirectory()
    stubgen = Path(sys.executable).with_name("stubgen")
    subprocess.run([stubgen, "-q", "--include-docstrings", "-o", directory.name, "pylibsshext"], cwd=ROOT, check=True)
    # The compiled module has a stub already.
    shutil.copy(ROOT / "pylibsshext/_core.pyi", Path(directory.name, "pylibsshext"))
    return directory


def stubs() -> Path:
    """Return the directory of the whole library's stubs, which lasts as long as the program."""
    return Path(_made().name)


def _path(top: Path, module: str, suffix: str) -> Path:
    path = top.joinpath(*module.split("."))
    return path / f"__init__{suffix}" if path.is_dir() else path.with_suffix(suffix)


@cache
def _stub(module: str) -> ast.Module:
    return ast.parse(_path(stubs(), module, ".pyi").read_text())


def _assigned(statement: ast.stmt) -> str:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    return target.id if isinstance(target, ast.Name) else ""


def _name(statement: ast.stmt) -> str:
    return getattr(statement, "name", "") or _assigned(statement)


@cache
def _said(module: str) -> dict[str, str]:
    """Return what a module ("") and its constants say of themselves."""
    tree = ast.parse(_path(ROOT, module, ".py").read_text())
    found = {"": ast.get_docstring(tree) or ""}
    for statement, after in zip(tree.body, tree.body[1:]):
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[_assigned(statement)] = str(after.value.value)
    return found


def _find(module: str, name: str) -> tuple[str, ast.stmt] | None:
    """Return where a name of a module is defined, and how; None if that isn't in the library."""
    for statement in _stub(module).body:
        if isinstance(statement, ast.ImportFrom) and statement.level:
            package = module.split(".")[: -statement.level]
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return _find(".".join([*package, *(statement.module or "").split(".")]), alias.name)
        elif _name(statement) == name:
            return module, statement
    return None


def names(module: str) -> list[str]:
    """Return the public names of a module, in the order of its stub; what other documented modules define is theirs."""
    defined = []
    for statement in _stub(module).body:
        if _assigned(statement) == "__all__" and isinstance(statement, ast.Assign):
            exported: list[str] = ast.literal_eval(statement.value)
            places = {name: _find(module, name) for name in exported}
            return [name for name, place in places.items() if place and (place[0] == module or place[0] not in MODULES)]
        defined.append(_name(statement))
    return [name for name in defined if name]


def reference(module: str) -> str:
    """Return the reference of a module, as reStructuredText in Markdown."""
    text = [f".. py:module:: {module}", "", _said(module)[""], ""]
    for name in names(module):
        place = _find(module, name)
        if place:
            text += _described(*place)
    found = "\n".join(text)
    if "Incomplete" in found:
        raise ValueError(f"{module} has types that only its code tells:\n{found}")
    return f"```{{eval-rst}}\n{found}\n```"


def _described(module: str, statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.ClassDef):
        members = list(_members(module, statement))
        made = [member for member in members if isinstance(member, ast.FunctionDef) and member.name == "__init__"]
        shown = [f"``{ast.unparse(base)}``" for base in statement.bases if not _undescribed(module, base)]
        bases = f"Bases: {', '.join(shown)}" if shown else ""
        yield from _entry(
            "class", statement.name + (_parameters(made[0]) if made else ""), (bases, ast.get_docstring(statement) or "")
        )
        for member in members:
            yield from ("   " + line for entry in _member(member) for line in entry.split("\n"))
    elif isinstance(statement, ast.FunctionDef):
        yield from _entry("function", _signature(statement), (ast.get_docstring(statement) or "",))
    elif isinstance(statement, ast.AnnAssign):
        name = _assigned(statement)
        yield from _entry("data", name, (_said(module).get(name, ""),), f":type: {ast.unparse(statement.annotation)}")


def _members(module: str, holder: ast.ClassDef) -> Iterator[ast.stmt]:
    """Yield the members of a class, and those that it has of classes which are not described themselves."""
    yield from holder.body
    own = {_name(member) for member in holder.body}
    for base in holder.bases:
        place = _undescribed(module, base)
        if place:
            yield from (member for member in _members(*place) if _name(member) not in own)


def _undescribed(module: str, base: ast.expr) -> tuple[str, ast.ClassDef] | None:
    """Return where a base class is defined, and how, if it is the library's and has no entry of its own."""
    place = _find(module, base.id) if isinstance(base, ast.Name) else None
    if place and isinstance(place[1], ast.ClassDef) and place[1].name not in _described_names():
        return place[0], place[1]
    return None


@cache
def _described_names() -> set[str]:
    return {name for module in MODULES for name in names(module)}


def _member(member: ast.stmt) -> Iterator[str]:
    if isinstance(member, ast.AnnAssign) and not _assigned(member).startswith("_"):
        yield from _entry("attribute", _assigned(member), (), f":type: {ast.unparse(member.annotation)}")
    elif isinstance(member, ast.Assign) and isinstance(member.value, ast.Name):
        yield from _entry("method", _assigned(member), (f"Another name of `{member.value.id}`.",))
    elif isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
        kinds = {ast.unparse(decorator) for decorator in member.decorator_list}
        doc = (ast.get_docstring(member) or "",)
        if "property" in kinds and member.returns:
            yield from _entry("property", member.name, doc, f":type: {ast.unparse(member.returns)}")
        elif not any(kind.endswith(".setter") for kind in kinds):
            options = (f":{kind}:" for kind in sorted(kinds & {"classmethod", "staticmethod"}))
            yield from _entry("method", _signature(member, bound="staticmethod" not in kinds), doc, *options)


def _entry(kind: str, signature: str, paragraphs: tuple[str, ...], *options: str) -> Iterator[str]:
    yield from (f".. py:{kind}:: {signature}", *(f"   {option}" for option in options), "")
    for paragraph in filter(None, paragraphs):
        yield from (*("   " + line for line in paragraph.split("\n")), "")


def _parameters(function: ast.FunctionDef, *, bound: bool = True) -> str:
    inner = ast.unparse(function.args)
    return f"({inner.partition(', ')[2] if bound else inner})"


def _signature(function: ast.FunctionDef, *, bound: bool = False) -> str:
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{function.name}{_parameters(function, bound=bound)}{returns}"
