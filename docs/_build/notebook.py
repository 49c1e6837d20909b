"""The notebook of docs/: `python docs/_build/notebook.py` runs its cells in order and keeps what they show.

Without Jupyter: a cell is executed as Python, its last expression is shown by the rules of a notebook (a picture where the
object can make one, else its repr). Pictures are kept in few colours, since they live in the repository.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

NOTEBOOK = Path(__file__).resolve().parents[1] / "first-steps.ipynb"
COLOURS = 96
KIND = re.compile(r"\W*(\w+)")
Cell = dict[str, Any]


def load(path: Path = NOTEBOOK) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def code_cells(notebook: dict[str, Any]) -> list[Cell]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(notebook: dict[str, Any]) -> list[list[Cell]]:
    """The outputs of each code cell, run from the top in a folder of their own. What a cell raises is raised."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, working_in(folder):
        return [show("".join(cell["source"]), names, count) for count, cell in enumerate(code_cells(notebook), 1)]


@contextlib.contextmanager
def working_in(folder: str) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def show(source: str, names: dict[str, Any], count: int) -> list[Cell]:
    """Execute a cell; what it printed and, where its last statement is an expression, what that shows."""
    tree, printed, value = ast.parse(source), io.StringIO(), None
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {count}", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {count}", "eval"), names)
    outputs: list[Cell] = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(True)})
    if value is not None:
        data: Cell = {"text/plain": repr(value).splitlines(True)}
        if picture := getattr(value, "_repr_png_", None):
            data["image/png"] = base64.b64encode(smaller(picture())).decode()
        outputs.append({"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    return outputs


def smaller(png: bytes) -> bytes:
    """The same picture in few colours."""
    out = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def told(outputs: list[Cell]) -> list[Any]:
    """What outputs have in common on all machines: the first word of their texts, and which are pictures."""
    return [(word_of(output), "image/png" in output.get("data", ())) for output in outputs]


def word_of(output: Cell) -> str:
    """The first word of its text."""
    found = KIND.match("".join(text_of(output)))
    return found[1] if found else ""


def text_of(output: Cell) -> list[str]:
    text: list[str] = output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]
    return text


def page(notebook: dict[str, Any]) -> str:
    """The notebook as a page of the site."""
    out = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        out.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            if picture := output.get("data", {}).get("image/png"):
                out.append(f"![{word_of(output)}](data:image/png;base64,{picture})")
            else:
                out.append(f"```text\n{''.join(text_of(output)).rstrip()}\n```")
    return "\n\n".join(out) + "\n"


def main() -> int:
    notebook = load()
    for count, (cell, outputs) in enumerate(zip(code_cells(notebook), run(notebook), strict=True), 1):
        cell.update(execution_count=count, outputs=outputs)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
