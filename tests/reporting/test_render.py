"""Templates: what they are given is text, and no module writes HTML itself."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest

import vaecli
from vaecli.reporting.render import render

PACKAGE = Path(vaecli.__file__).parent
TAG = re.compile(
    r"</\w+>|<(a|b|body|br|dd|details|div|dl|dt|figure|footer|h[1-6]|head|html|i|img|li|main|meta|ol"
    r"|p|pre|script|span|style|summary|table|t[bdhr]\w*|title|ul)(\s[^>]*)?>|<!DOCTYPE",
    re.IGNORECASE,
)


def strings_with_tags(source):
    nodes = ast.walk(ast.parse(source))
    texts = [(n.lineno, n.value) for n in nodes if isinstance(n, ast.Constant)]
    return [(line, text) for line, text in texts if isinstance(text, str) and TAG.search(text)]


def test_no_string_of_the_package_holds_an_html_tag():
    assert strings_with_tags("f'<td class=\"number\">{x}</td>'")
    assert strings_with_tags("'<h2>Settings</h2>'")
    found = {
        path.relative_to(PACKAGE).as_posix(): strings
        for path in sorted(PACKAGE.rglob("*.py"))
        if (strings := strings_with_tags(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_a_name_that_the_view_lacks_is_an_error_and_no_empty_place():
    with pytest.raises(jinja2.UndefinedError):
        render("report.html", {"title": "x"})


def test_jinja_is_imported_only_where_a_page_is_written():
    code = (
        "import sys, vaecli.runs.report, vaecli.reporting.comparison.page, vaecli.diagnose;"
        "sys.exit('jinja2' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
