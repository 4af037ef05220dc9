"""Generated pages are in step with what they are generated from."""

from __future__ import annotations

from pathlib import Path

from appliance import features
from frontend import openapi

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_feature_matrix_is_in_step_with_the_code() -> None:
    """`python -m appliance.features > docs/features.md` makes it."""
    assert (DOCS / "features.md").read_text() == features.page()


def test_the_openapi_description_is_in_step_with_the_code() -> None:
    """`python -m frontend.openapi > docs/openapi.json` makes it."""
    assert (DOCS / "openapi.json").read_text() == openapi.page()


def test_the_openapi_description_knows_every_route() -> None:
    described = {(path, method) for path, method, _ in openapi.operations()}
    assert len(described) > 80
    reading = {(path, method): found for path, method, found in openapi.operations()}
    assert reading["/build", "post"].parameters["memory"] == ("number", [])
    assert reading["/build", "post"].parameters["cpusetcpus"] == ("text", [])
    assert reading["/images/{name}/json", "get"].parameters.keys() == {"manifests", "platform"}
    assert reading["/containers/create", "post"].required
    assert reading["/containers/{ref}", "delete"].status == 204
    assert reading["/session", "post"].refuses


def test_every_page_that_a_page_links_to_exists() -> None:
    pages = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in _links(page.read_text())
        if not target.startswith("http") and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert broken == []


def _links(text: str) -> list[str]:
    return [part.partition(")")[0] for part in text.split("](")[1:]]
