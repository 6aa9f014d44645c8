"""New modules: what `edgeyard new module` writes."""

from __future__ import annotations

from edgeyard.scaffold.module import Kind, NewModule, create_module

__all__ = ["Kind", "NewModule", "create_module"]
