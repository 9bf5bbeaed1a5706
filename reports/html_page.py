"""One self-contained HTML page from a Markdown page: pictures inside, tables that sort, nothing to fetch."""

from __future__ import annotations

import base64
import html
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.contracts.errors import UserError

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { border-bottom: 1px solid #8885; padding-bottom: .2rem; margin-top: 2.5rem; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; }
th, td { border: 1px solid #8885; padding: .25rem .55rem; text-align: left; vertical-align: top; }
th { cursor: pointer; user-select: none; white-space: nowrap; background: #8882; }
th[aria-sort=ascending]::after { content: " \\2191"; } th[aria-sort=descending]::after { content: " \\2193"; }
summary { cursor: pointer; font-weight: 600; margin: 1.5rem 0 .5rem; }
pre { background: #8882; padding: .7rem; overflow-x: auto; } code { font-size: .92em; }
"""

OWN = {tag: f"OWN{n}TAG" for n, tag in enumerate(("<br>", "<details>", "</details>", "<summary>", "</summary>"))}
"""Tags of HTML that pages write, and what stands for them while Markdown is read."""

SORTING = """
for (const table of document.querySelectorAll("table")) {
  const rows = () => [...table.tBodies[0].rows];
  const number = text => {
    const found = text.replace(/,/g, "").match(/^\\s*[<>~]?\\s*([-+\\u2212]?\\d*\\.?\\d+(?:e[-+]?\\d+)?)/i);
    return found ? parseFloat(found[1].replace("\\u2212", "-")) : NaN;
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => head.addEventListener("click", () => {
    const rising = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const text = row => row.cells[column].innerText.trim();
    const compare = (a, b) => {
      const [x, y] = [number(text(a)), number(text(b))];
      if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;  // what is no number stays below
      const found = isNaN(x) ? text(a).localeCompare(text(b)) : x - y;
      return rising ? found : -found;
    };
    table.tBodies[0].append(...rows().sort(compare));
  }));
}
"""


def page_path(text: str, *, subject: str) -> Path:
    """Where a page is to be written.

    Raises:
        UserError: neither .md nor .html, or a folder that does not exist.
    """
    path = Path(text)
    if path.suffix not in (".md", ".html") or path.is_dir():
        raise UserError(f"{subject} writes Markdown or HTML, give a .md file or a .html file, got {text!r}")
    if not path.parent.is_dir():
        raise UserError(f"{subject}: the folder {str(path.parent)!r} does not exist; make it first")
    return path


def write_as(path: Path, write: Callable[[Path], list[Path]]) -> list[Path]:
    """Write a Markdown page and its pictures, or the same as one HTML file.

    Args:
        write: writes the Markdown page and its pictures to where it is told, and returns the pictures.

    Returns:
        the pictures that stand beside the page; an HTML page has none.
    """
    if path.suffix == ".md":
        return write(path)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / path.with_suffix(".md").name
        write(page)
        path.write_text(html_from(page), encoding="utf-8")
    return []


def html_from(page: Path) -> str:
    """A Markdown page as HTML, the pictures beside it inside."""
    from markdown_it import MarkdownIt

    text = page.read_text(encoding="utf-8")
    # Of HTML only the elements that pages themselves write; all else is text.
    for element, mark in OWN.items():
        text = text.replace(element, mark)
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = re.sub(rf"<p>({OWN['<details>']}.*?|{OWN['</details>']})</p>", r"\1", body, flags=re.DOTALL)
    for element, mark in OWN.items():
        body = body.replace(mark, element)
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    body = re.sub(r"<h2>(.*?)</h2>", lambda found: f'<h2 id="{_anchor(found[1])}">{found[1]}</h2>', body)
    body = re.sub(r'src="([^":]+\.png)"', lambda found: f'src="{_inside(page.parent / html.unescape(found[1]))}"', body)
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    name = html.escape(title[1] if title else page.stem)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n{body}<script>{SORTING}</script>\n</body>\n</html>\n"
    )


def _anchor(heading: str) -> str:
    """The name that GitHub gives a heading, which links on the page use."""
    plain = html.unescape(re.sub(r"<[^>]+>", "", heading)).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def _inside(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
