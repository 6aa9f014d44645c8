"""The query of a request to the blob service: names without case, values percent-decoded once, ``+`` left alone."""

from __future__ import annotations

from urllib.parse import unquote

from iot_core.storage.refusals import refused

__all__ = ["parse_query"]


def parse_query(text: str) -> dict[str, str]:
    """Names in lower case → values; StorageRefusal when a name comes twice (a signature could not tell which)."""
    found: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        name = unquote(name).lower()
        if name in found:
            raise refused("InvalidQueryParameterValue", f"The query parameter {name[:40]} is given more than once.")
        found[name] = unquote(value)
    return found
