"""A probe that asks two IoT Hubs the same and tells where their answers differ (`edgeyard hub compare`)."""

from edgeyard.compare.comparison import Comparison, Difference, compare_hubs
from edgeyard.compare.doors import Side
from edgeyard.compare.probe import LeftBehindError

__all__ = ["Comparison", "Difference", "LeftBehindError", "Side", "compare_hubs"]
