"""The local IoT Edge runtime: agent, edge hub and workload API for one edge device, against any IoT Hub."""

from __future__ import annotations

from local_edge.config import EdgeConfig
from local_edge.engines.images import ImageTable, load_image_table
from local_edge.local_edge import LocalEdge, serve

__all__ = ["EdgeConfig", "ImageTable", "LocalEdge", "load_image_table", "serve"]
