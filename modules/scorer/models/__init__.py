"""The committed ONNX models, their labels and cards, and the scripts that build them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["MODELS_FOLDER"]

MODELS_FOLDER = Path(__file__).parent
