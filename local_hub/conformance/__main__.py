"""Prints the page: `python -m local_hub.conformance > docs/conformance.md`."""

from local_hub.conformance.page import render_markdown

print(render_markdown(), end="")
