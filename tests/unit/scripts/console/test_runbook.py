"""The runbook as a page."""

from collections.abc import Callable

from scripts.console.views.runbook import page
from scripts.deployment import Deployed
from tests.unit.scripts.console.conftest import PORT, ConsoleClient


def test_a_heading_can_be_linked_to() -> None:
    assert '<h3 id="a-state-lock">A state lock</h3>' in page("### A state lock")


def test_only_links_that_the_console_can_follow_are_links() -> None:
    text = page("[one](#one), [two](decisions/2.md), [three](https://example.com)")

    assert '<a href="#one">one</a>, <a>two</a>, <a href="https://example.com">three</a>' in text


def test_html_is_shown_as_text() -> None:
    assert "&lt;script&gt;" in page("<script>alert()</script>")


def test_the_runbook_is_served(serve: Callable[..., ConsoleClient], deployment: Deployed) -> None:
    answer = serve(deployment).client.get("/runbook", headers={"Host": f"127.0.0.1:{PORT}"})

    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert '<h3 id="records-failed">' in answer.text
