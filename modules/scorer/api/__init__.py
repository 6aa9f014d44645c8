"""The scorer's HTTP interface: Azure ML's contract, pictures and raw tensors, and KServe's V2 protocol."""

from __future__ import annotations

from modules.scorer.api.access import Access
from modules.scorer.api.application import MAX_BODY, ScorerApi

__all__ = ["MAX_BODY", "Access", "ScorerApi"]
