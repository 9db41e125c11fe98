# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation says about the connection plugin's options, made of the plugins' own DOCUMENTATION.

``reference`` describes our options; ``comparison`` goes through those of the plugins that people come from. What can't be read from
a plugin, because no reader would guess it, is in ``differences.yml``; the options of plugins that can't be installed are in
``incumbents.yml``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from . import api

HERE = Path(__file__).resolve().parent
PLUGIN = HERE.parents[1] / "plugins/connection/libssh.py"

SSH = "ansible.builtin.ssh"
NETCOMMON = "ansible.netcommon.libssh 8.6.2"
PARAMIKO = "ansible.builtin.paramiko_ssh 2.20"


@dataclass(frozen=True)
class Option:
    """An option of a plugin. ``sources`` are where it is read from, as a user would write them."""

    name: str
    default: Any = None
    type: str = "string"
    choices: Mapping[str, str] | tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    version_added: str = ""

    @classmethod
    def from_documentation(cls, name: str, entry: Mapping[str, Any]) -> Option:
        """Read an entry of a DOCUMENTATION."""
        description = entry.get("description", ())
        choices = entry.get("choices", ())
        return cls(
            name=name,
            default=entry.get("default"),
            type=str(entry.get("type", "string")),
            choices=choices if isinstance(choices, Mapping) else tuple(map(str, choices)),
            description=(description,) if isinstance(description, str) else tuple(description),
            sources=tuple(_sources(entry)),
            version_added=str(entry.get("version_added", "")),
        )


def _sources(entry: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("vars", "env"):
        yield from (source["name"] for source in entry.get(kind, ()))
    yield from (f"[{source['section']}] {source['key']}" for source in entry.get("ini", ()))
    yield from (source.get("option", f"--{source['name'].replace('_', '-')}") for source in entry.get("cli", ()))
    yield from (f"keyword {source['name']}" for source in entry.get("keyword", ()))


def documentation(path: Path) -> dict[str, Any]:
    """Return a plugin's DOCUMENTATION, without running the plugin."""
    for node in ast.parse(path.read_text()).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and ast.unparse(node.targets[0]) == "DOCUMENTATION"
        ):
            found: dict[str, Any] = yaml.safe_load(str(node.value.value))
            return found
    raise ValueError(f"no DOCUMENTATION in {path}")


@cache
def ours() -> dict[str, Option]:
    """Return the options of the plugin in this checkout."""
    return {name: Option.from_documentation(name, entry) for name, entry in documentation(PLUGIN)["options"].items()}


@cache
def theirs() -> dict[str, dict[str, Option]]:
    """Return the options of the plugins that people come from, by the plugin's name."""
    spec = find_spec("ansible")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("ansible-core is not installed")
    plugins = Path(spec.submodule_search_locations[0], "plugins")
    ssh = documentation(plugins / "connection/ssh.py")
    entries: dict[str, Any] = dict(ssh["options"])
    # Fragments hold parts of an option that several plugins have.
    fragments = {"connection_pipelining": _fragment(plugins / "doc_fragments/connection_pipelining.py")}
    for fragment in ssh["extends_documentation_fragment"]:
        for name, entry in fragments[fragment]["options"].items():
            own = entries.get(name, {})
            entries[name] = {
                **entry,
                **own,
                **{kind: [*entry.get(kind, ()), *own.get(kind, ())] for kind in ("vars", "env", "ini")},
            }
    stored = yaml.safe_load((HERE / "incumbents.yml").read_text())
    return {
        SSH: {name: Option.from_documentation(name, entry) for name, entry in entries.items()},
        **{
            plugin: {
                name: Option(name, default=entry.get("default"), sources=tuple(entry.get("sources", ())))
                for name, entry in stored[plugin].items()
            }
            for plugin in (NETCOMMON, PARAMIKO)
        },
    }


def _fragment(path: Path) -> dict[str, Any]:
    (holder,) = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))
    (text,) = (node.value for node in holder.body if isinstance(node, ast.Assign))
    fragment: dict[str, Any] = yaml.safe_load(ast.literal_eval(text))
    return fragment


@dataclass(frozen=True)
class Verdict:
    """What became of an option of another plugin. What is unexplained must not be."""

    here: str
    """What it is called here, "" if it isn't there."""
    why: tuple[str, ...]
    unexplained: tuple[str, ...]


@cache
def differences() -> dict[str, dict[str, str]]:
    """Return what has been decided about options: renamed, absent, sources, defaults."""
    found: dict[str, dict[str, str]] = yaml.safe_load((HERE / "differences.yml").read_text())
    return found


def verdict(option: Option) -> Verdict:
    """Compare an option of another plugin with ours."""
    said = differences()
    here = ours().get(said["renamed"].get(option.name, option.name))
    if here is None:
        why = said["absent"].get(option.name)
        return Verdict("", (why,) if why else (), () if why else (f"{option.name} is not there",))
    reasons, unexplained = [], []
    for source in option.sources:
        if source not in here.sources:
            why = said["sources"].get(source)
            reasons += [f"`{source}` is not read: {why}"] if why else []
            unexplained += [] if why else [f"{source} is not read"]
    if str(option.default or None).lower() != str(here.default or None).lower():
        why = said["defaults"].get(option.name)
        reasons += [why] if why else []
        unexplained += [] if why else [f"the default is {here.default!r} instead of {option.default!r}"]
    return Verdict(here.name, tuple(reasons), tuple(unexplained))


# --- as Markdown ------------------------------------------------------------------------------------------------------------

_MARKUP = re.compile(r"\b([BCEIOV])\(((?:\\.|[^)\\])*)\)")


def markdown(text: str) -> str:
    """Write Ansible's markup of documentation as Markdown."""

    def write(match: re.Match[str]) -> str:
        kind, inner = match[1], re.sub(r"\\(.)", r"\1", match[2])
        if kind == "O" and inner in ours():
            return f"[`{inner}`](#{inner})"
        return {"B": f"**{inner}**", "I": f"*{inner}*"}.get(kind, f"`{inner}`")

    return _MARKUP.sub(write, text)


def reference() -> str:
    """Return the description of all our options, each below a heading of its own."""
    return "\n\n".join(_described(option) for _, option in sorted(ours().items()))


def _described(option: Option) -> str:
    facts = [option.type]
    if option.default not in (None, ""):
        facts.append(f"default `{str(option.default).lower() if isinstance(option.default, bool) else option.default}`")
    if option.version_added:
        facts.append(f"since {option.version_added}")
    lines = [f"### {option.name}", ", ".join(facts), *map(markdown, option.description)]
    if isinstance(option.choices, Mapping):
        lines.append("\n".join(f"- `{choice}`: {markdown(meaning)}" for choice, meaning in option.choices.items()))
    elif option.choices:
        lines.append("One of " + ", ".join(f"`{choice}`" for choice in option.choices) + ".")
    lines.append("Set by " + ", ".join(f"`{source}`" for source in option.sources) + ".")
    return "\n\n".join(lines)


def comparison() -> str:
    """Return a table of every option of the plugins that people come from."""
    names = sorted({name for plugin in theirs().values() for name in plugin})
    rows = [f"| option | {' | '.join(theirs())} | here |", "|" + "---|" * (len(theirs()) + 2)]
    for name in names:
        found = [plugin.get(name) for plugin in theirs().values()]
        verdicts = [verdict(option) for option in found if option]
        here = verdicts[0].here
        reasons = dict.fromkeys(reason for each in verdicts for reason in each.why)
        place = f"[`{here}`](#{here})" if here else "**not there**"
        text = " ".join([place + ("." if reasons and here else ":" if reasons else ""), *reasons]).replace("|", "\\|")
        rows.append(f"| `{name}` | {' | '.join('yes' if option else '' for option in found)} | {text.strip()} |")
    own = sorted(set(ours()) - {verdict(option).here for plugin in theirs().values() for option in plugin.values()})
    return "\n".join([*rows, "", "Only here: " + ", ".join(f"[`{name}`](#{name})" for name in own) + "."])


PAGES: dict[str, Callable[[], str]] = {"reference": reference, "comparison": comparison}
PAGES.update((module, partial(api.reference, module)) for module in api.MODULES)


def fill(page: str) -> str:
    """Put what is generated where a page has the comment for it."""
    for what, generate in PAGES.items():
        comment = f"<!-- generated: {what} -->"
        if comment in page:
            page = page.replace(comment, generate())
    return page
