"""One HTML file from a page: everything inside, links and tables alive, sorting in a real browser where one is."""

import base64
import shutil
import subprocess

import pytest

from harness.contracts.errors import UserError
from harness.reports.html_page import html_from, page_path, write_as

PICTURE = b"\x89PNG picture"
PAGE = """# A & B

See [the second](#the-second-one).

| scan | accuracy | steps |
| --- | --- | --- |
| hilbert | 0.9 ± 0.1 | >500 |
| rows<br>twice | .85 | 1,200 |
| `a<b` | - | 30 |

![curves](page-curves.png)

## The second one!

- **bold** <script>alert(1)</script>
"""


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    (tmp_path / "page-curves.png").write_bytes(PICTURE)
    return path


def test_the_page_holds_everything_and_nothing_of_the_text_becomes_code(page):
    found = html_from(page)
    assert "<title>A &amp; B</title>" in found
    assert f'src="data:image/png;base64,{base64.b64encode(PICTURE).decode()}"' in found
    assert 'href="#the-second-one"' in found and '<h2 id="the-second-one">' in found
    assert "rows<br>twice" in found and "<code>a&lt;b</code>" in found and "<strong>bold</strong>" in found
    assert "<script>alert" not in found
    assert "http" not in found.replace("http-equiv", "")


def test_html_leaves_no_pictures_beside_it(page, tmp_path):
    def write(path):
        shutil.copy(page, path)
        return [shutil.copy(tmp_path / "page-curves.png", path.with_name("page-curves.png"))]

    target = tmp_path / "out"
    target.mkdir()
    assert write_as(target / "told.html", write) == []
    assert [file.name for file in target.iterdir()] == ["told.html"]
    assert len(write_as(target / "told.md", write)) == 1


@pytest.mark.parametrize("name", ["page.txt", "page", ".", "nowhere/page.html"])
def test_other_files_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="^report"):
        page_path(name, subject="report")


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_a_click_on_a_column_sorts_it_by_number_and_again_the_other_way(page, tmp_path):
    def order_after(clicks):
        click = f'for (let i = 0; i < {clicks}; i++) document.querySelectorAll("th")[2].click();'
        told = 'document.title = [...document.querySelectorAll("tbody tr")].map(r => r.cells[2].innerText).join("|");'
        html = html_from(page).replace("</body>", f"<script>{click}{told}</script></body>")
        (tmp_path / "page.html").write_text(html)
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        result = subprocess.run(
            [BROWSER, *arguments, "--dump-dom", (tmp_path / "page.html").as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
        )
        return result.stdout.partition("<title>")[2].partition("</title>")[0].replace("&gt;", ">")

    assert order_after(0) == ">500|1,200|30"
    assert order_after(1) == "30|>500|1,200"
    assert order_after(2) == "1,200|>500|30"
