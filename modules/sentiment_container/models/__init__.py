"""The committed sentiment model, its vocabulary and card, and the script that builds them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["MODELS_FOLDER"]

MODELS_FOLDER = Path(__file__).parent
