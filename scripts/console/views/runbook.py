"""The runbook, to which the reasons of a verdict lead."""

from itertools import pairwise

from flask import Flask, Response

from scripts.console.context import Context
from scripts.stage import ROOT

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Runbook</title>
<link rel="stylesheet" href="/static/console.css">
</head>
<body><main class="document">
{}
</main></body>
</html>
"""


def register(app: Flask, _: Context) -> None:
    """Add the route."""

    @app.get("/runbook")
    def runbook() -> Response:
        return Response(page((ROOT / "docs" / "runbook.md").read_text()), mimetype="text/html")


def page(markdown: str) -> str:
    """Return a document as a page whose headings can be linked to: `### records-failed` is `#records-failed`.

    Links to other documents, which the console does not serve, become their text.
    """
    from markdown_it import MarkdownIt  # here, since it takes 0.1 s that the console's start need not wait for

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for heading, content in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", content.content.lower().replace(" ", "-"))
        for token in content.children or ():
            if token.type == "link_open" and not str(token.attrGet("href")).startswith(("#", "https://")):
                del token.attrs["href"]
    return _PAGE.format(parser.renderer.render(tokens, parser.options, {}))
