"""A page that cannot be rendered leaves the rest of the response intact."""

from workflows.details_interceptor import _page


class Broken:
    def page(self) -> str:
        raise ValueError("no page")


def test_a_page_that_cannot_be_rendered_is_reported() -> None:
    assert _page(Broken()) == "This page cannot be rendered; `starter.py status` shows the run."
