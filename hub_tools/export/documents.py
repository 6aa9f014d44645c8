"""The finished manifest, as `az iot edge deployment create` and `az iot edge set-modules` read it (--content)."""

from __future__ import annotations

import json

from hub_tools.export.plain import Exported
from hub_tools.export.source import Source
from hub_tools.manifests.secrets import secret_names

__all__ = ["to_json"]


def to_json(source: Source, *, with_secrets: bool = False) -> Exported:
    """The manifest with ${NAME} for its secrets, or `with_secrets` their values; raises what has no value."""
    content = source.deployment.to_content(source.value_of if with_secrets else lambda name: f"${{{name}}}")
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    names = sorted(secret_names(source.deployment.to_content()))
    if with_secrets or not names:
        return Exported(text=text)
    listing = ", ".join(f"${{{name}}}" for name in names)
    return Exported(text=text, warnings=(f"put values for {listing} before az reads it, or use --with-secrets",))
