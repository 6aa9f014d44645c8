"""Deployment content: templates, createOptions, the typed manifest, layers."""

from __future__ import annotations

from iot_core.manifest.createoptions import chunk_options, join_options, parse_options
from iot_core.manifest.envelope import is_base, modules_content
from iot_core.manifest.layers import Deployment, Merged, merge_layers
from iot_core.manifest.model import (
    AgentConfig,
    EdgeHubConfig,
    Manifest,
    ModuleSpec,
    RegistryCredential,
    RouteSpec,
    parse_agent,
    parse_edge_hub,
    parse_manifest,
)
from iot_core.manifest.module_json import ModuleDescription, module_images, parse_module_json
from iot_core.manifest.template import expand_template

__all__ = [
    "AgentConfig",
    "Deployment",
    "EdgeHubConfig",
    "Manifest",
    "Merged",
    "ModuleDescription",
    "ModuleSpec",
    "RegistryCredential",
    "RouteSpec",
    "chunk_options",
    "expand_template",
    "is_base",
    "join_options",
    "merge_layers",
    "module_images",
    "modules_content",
    "parse_agent",
    "parse_edge_hub",
    "parse_manifest",
    "parse_module_json",
    "parse_options",
]
