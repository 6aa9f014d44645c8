from __future__ import annotations

from iot_core import manifest


def test_the_public_names_are_these() -> None:
    assert manifest.__all__ == [
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
