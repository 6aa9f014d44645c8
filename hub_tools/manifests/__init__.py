"""Deployment manifests as objects."""

from __future__ import annotations

from hub_tools.manifests.create_options import CreateOptions, LogConfig, PortBinding
from hub_tools.manifests.deployments import (
    Configuration,
    Deployment,
    Layer,
    RegistryCredential,
    read_configuration,
    read_content,
)
from hub_tools.manifests.modules import Module
from hub_tools.manifests.routes import Route, Source, upstream
from hub_tools.manifests.secrets import secret

__all__ = [
    "Configuration",
    "CreateOptions",
    "Deployment",
    "Layer",
    "LogConfig",
    "Module",
    "PortBinding",
    "RegistryCredential",
    "Route",
    "Source",
    "read_configuration",
    "read_content",
    "secret",
    "upstream",
]
