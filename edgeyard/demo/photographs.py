"""Photographs sent to the scorer as Azure ML clients send them: `{"data": [[[[…]]]]}`, normalised as ResNet50v2 wants."""

from __future__ import annotations
