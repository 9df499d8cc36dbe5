"""Print the table of all errors and warnings of tapegrad, as the site has it: read from the sources, so it is complete.

Headings of docs/reference/errors.md are parts of messages: a message that contains one leads to that section.
"""

from __future__ import annotations

import ast
import builtins
import pathlib
import re
from collections.abc import Iterable, Iterator

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "messages.md"
HEAD = """# All messages

Errors and warnings, made from the sources when the site is built. … stands for what is filled in. A message that is
explained at length, with code that fails and code that works, leads to [its section](errors.md). Which derivatives are
missing, and why, is in [What works on tensors](support.md).
"""
PARTS = {
    "Values that would lose their gradient, and conversions": (
        ("values.py", "creation.py", "dispatch.py", "foreign.py"),
        "Something asked for a plain number or array, or made a tensor. Use a function that takes part, or say "
        "`stop_gradient` or `detach`.",
    ),
    "Gradients of functions": (
        ("functional.py", "jacobians.py", "batching.py", "func.py", "checking.py", "implicit.py"),
        "The function, its arguments or the directions do not fit the transformation: `argnums`, shapes, dtypes, the "
        "kind of result.",
    ),
    "Rules of your own": (("custom.py", "autograd/function.py", "autograd/call.py", "autograd/captures.py"),
        "A rule is missing, or gives something else than a cotangent for each argument."),
    "backward, graphs, hooks": (("autograd/",),
        "Mostly in PyTorch's words, as its users know them. A graph was freed, is not there, or does not lead to what "
        "was asked for."),
    "Writing in place": (("inplace.py", "updates.py", "assignment.py"),
        "The target's shape or dtype does not fit, or a value that is still needed would be lost: write to a copy."),
    "Compiled and saved functions": (("compiler/",),
        "Recording met what no recording can hold; or a file is damaged, made by another version, or not for these "
        "arguments."),
    "Methods": (("methods/", "tape/"),
        "Arguments do not fit the tensor's shape or dtype, as NumPy or PyTorch would say."),
    "NumPy's functions": (("primitives/", "numpy/"), "As NumPy says it, with the shapes and dtypes that arrived."),
    "SciPy's functions": (("scipy/",), "As SciPy says it; or the derivative that was asked for does not exist."),
    "Networks": (("nn/",), "Shapes do not fit the layer, in PyTorch's words."),
    "GPU": (("cuda/",), "No device, no memory, or operands on different devices: [the guide](../guides/cuda.md)."),
    "Many machines": (("dask/",),
        "A partition failed, a worker has another version, or an argument is not partitioned: "
        "[the guide](../guides/dask.md)."),
    "Looking inside, command line": (("inspect/", "cli/"), "There is nothing to show, or a program is missing."),
    "Everything else": (("",), "Installations and internal checks. One that asks you to report it should not happen."),
}  # fmt: skip
"""Title -> beginnings of paths in the package, and why such messages come and what to do."""


def template(node: ast.expr, names: dict[str, str]) -> str | None:
    """The text of an expression, with … for what is filled in; None if it is no text.

    `names` are texts that stand in variables.
    """
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(template(v, names) if isinstance(v, ast.Constant) else "…" for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (template(node.left, names) or "…") + (template(node.right, names) or "…")
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return re.sub(r"\{[^}]*\}", "…", template(node.func.value, names) or "")
    return None


def texts(tree: ast.AST, names: dict[str, str]) -> dict[str, str]:
    """Texts that assignments in `tree` give names."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = template(node.value, names)
            if text and text.strip("… "):
                found[node.targets[0].id] = text
    return found


def classes(trees: Iterable[ast.AST]) -> set[str]:
    """Names of errors and warnings: Python's, and the package's own, which derive from them."""
    found = {name for name, it in vars(builtins).items() if isinstance(it, type) and issubclass(it, Exception)}
    own = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while more := {c.name for c in own if found & {ast.unparse(base) for base in c.bases}} - found:
        found |= more
    return found


def exceptions(tree: ast.AST, kinds: set[str]) -> Iterator[tuple[str, list[ast.expr]]]:
    """Errors and warnings that are made: their class, and the expressions that they are made of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in kinds:  # it may write its own message
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                    yield node.name, call.args
        elif isinstance(node, ast.Call):
            kind = ast.unparse(node.func).rpartition(".")[2]
            if kind == "warn" and len(node.args) > 1:
                yield ast.unparse(node.args[1]), node.args[:1]
            elif kind in kinds or kind.endswith("Error"):  # NumPy's and Numba's, too
                yield kind, node.args


def messages() -> list[tuple[str, str, str]]:
    """Path in the package, class and text of each error and warning."""
    found = {}
    package = ROOT / "tapegrad"
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))}
    kinds = classes(trees.values())
    constants: dict[str, str] = {}
    for tree in trees.values():
        constants |= {name: text for name, text in texts(tree, {}).items() if name.isupper()}
    for path, tree in trees.items():
        names = constants | texts(tree, constants)
        for kind, parts in exceptions(tree, kinds):
            for text in (template(part, names) for part in parts):
                text = " ".join(re.sub("…+", "…", text or "").split())
                if text.strip("… ") and " " in text:
                    found[path.relative_to(package).as_posix(), kind.lstrip("_"), text] = None
    return list(found)


def sections() -> list[tuple[str, str]]:
    """Headings of the page of explained messages, with their anchors."""
    text = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    return [(h, anchor(h)) for h in re.findall(r"^### (.+)$", text, re.MULTILINE)]


def anchor(heading: str) -> str:
    """As GitHub makes it, and the site."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def page() -> str:
    """The page."""
    parts: dict[str, list[str]] = {title: [] for title in PARTS}
    explained = sections()
    for path, kind, text in messages():
        title = next(t for t, (starts, _) in PARTS.items() if path.startswith(starts))
        shown = re.sub(r"([\\`|<>\[\]_$])", r"\\\1", text)
        link = next((f"[{shown}](errors.md#{a})" for h, a in explained if h in text), shown)
        parts[title].append(f"| `{kind}` | {link} |")
    text = HEAD
    for title, rows in parts.items():
        if rows:
            text += (
                f"\n## {title}\n\n{PARTS[title][1]}\n\n| class | message |\n| --- | --- |\n"
                + "\n".join(sorted(rows))
                + "\n"
            )
    return text


def main() -> None:
    print(page())


if __name__ == "__main__":
    main()
