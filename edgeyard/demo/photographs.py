"""Photographs sent to the scorer as Azure ML clients send them: `{"data": [[[[…]]]]}`, normalised for ResNet50v2."""

from __future__ import annotations
