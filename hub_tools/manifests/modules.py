"""A module of a deployment: what runs, how, and the desired properties of its twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from hub_tools.manifests.create_options import CreateOptions, Ports
from hub_tools.manifests.routes import Input, Source
from hub_tools.manifests.secrets import resolve, secret, secret_names
from iot_core import limits
from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject
from iot_core.manifest import chunk_options, parse_options
from iot_core.manifest.createoptions import is_options_key

__all__ = ["Module", "ValueOf", "keep_secrets"]

ValueOf = Callable[[str], str]
"""Gives the value of a secret by its name."""

Scalar = str | int | float | bool | None
Status = Literal["running", "stopped"]
RestartPolicy = Literal["never", "on-failure", "on-unhealthy", "always"]
PullPolicy = Literal["on-create", "never"]

_FIELDS = {
    "status": "status",
    "restartPolicy": "restart_policy",
    "version": "version",
    "imagePullPolicy": "image_pull_policy",
    "startupOrder": "startup_order",
}


def keep_secrets(name: str) -> str:
    """A `ValueOf` that leaves every reference as it is."""
    return secret(name)


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module, user's or system.

    `ports` and `gpu` are short for the same of `CreateOptions.of` and are laid over `create_options`. `env` becomes the
    manifest's own env. `desired` are the desired properties of its twin, whole. Fields that are None are left to the
    agent's defaults.
    """

    name: str
    image: str
    create_options: CreateOptions = field(default_factory=CreateOptions)
    ports: Ports | None = None
    gpu: bool | int = False
    env: Mapping[str, Scalar] = field(default_factory=dict)
    status: Status | None = "running"
    restart_policy: RestartPolicy | None = "always"
    startup_order: int | None = None
    image_pull_policy: PullPolicy | None = None
    version: str | None = None
    desired: JsonObject | None = None
    max_chunks: int = limits.CREATE_OPTIONS_CHUNKS
    extra: JsonObject = field(default_factory=dict)
    """Other members of the module's entry; those of its "settings" under that name."""
    source_settings: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """createOptions as they were read: written again as they are while they still say the same."""

    def output(self, name: str) -> Source:
        """One of its outputs ("*" for all), to be routed with >>."""
        return Source(f"/messages/modules/{self.name}/outputs/{name}")

    def input(self, name: str) -> Input:
        """One of its inputs, for the right side of >>."""
        return Input(self.name, name)

    @property
    def options(self) -> CreateOptions:
        """All container options, those of `ports` and `gpu` included."""
        if not self.ports and not self.gpu:
            return self.create_options
        return self.create_options.merged(CreateOptions.of(ports=self.ports, gpu=self.gpu).document)

    def to_json(self, value_of: ValueOf = keep_secrets) -> JsonObject:
        """The module's entry in $edgeAgent. Raises ManifestError for a variable set in both env and createOptions, and
        for createOptions that need more than `max_chunks` chunks.
        """
        self._refuse_conflicts()
        given = {key: getattr(self, name) for key, name in _FIELDS.items()}
        settings = {"image": self.image, **self._options_text(value_of), **self.extra.get("settings", {})}
        env = {name: {"value": resolve(value, value_of)} for name, value in self.env.items()}
        return {
            "type": "docker",
            **{key: value for key, value in given.items() if value is not None},
            "settings": settings,
            **({"env": env} if env else {}),
            **{key: value for key, value in self.extra.items() if key != "settings"},
        }

    @classmethod
    def from_json(cls, name: str, entry: JsonObject, *, desired: JsonObject | None = None) -> Module:
        """Reads an entry of $edgeAgent; raises ManifestError with the path below the module."""
        settings = entry.get("settings")
        if not isinstance(settings, dict) or not isinstance(settings.get("image"), str):
            raise ManifestError("has no image", path=f"{name}.settings.image")
        options = {key: value for key, value in settings.items() if is_options_key(key)}
        document = parse_options(options, path=f"{name}.settings")
        rest = {key: value for key, value in settings.items() if key != "image" and not is_options_key(key)}
        env = entry.get("env") or {}
        known = {"type", "settings", *(["env"] if env else []), *_FIELDS}
        extra = {key: value for key, value in entry.items() if key not in known}
        return cls(
            name=name,
            image=settings["image"],
            create_options=CreateOptions(document),
            env={key: value.get("value") for key, value in env.items()},
            desired=desired,
            max_chunks=max(limits.CREATE_OPTIONS_CHUNKS, len(options)),
            extra={**extra, **({"settings": rest} if rest else {})},
            source_settings=options,
            status=entry.get("status"),
            restart_policy=entry.get("restartPolicy"),
            version=entry.get("version"),
            image_pull_policy=entry.get("imagePullPolicy"),
            startup_order=entry.get("startupOrder"),
        )

    def _options_text(self, value_of: ValueOf) -> dict[str, str]:
        document = self.options.document
        unchanged = self.source_settings and parse_options(self.source_settings) == document
        if unchanged and not secret_names(document):
            return dict(self.source_settings)
        if not document and not self.source_settings:
            return {}
        return chunk_options(resolve(document, value_of), max_chunks=self.max_chunks, path=f"{self.name}.createOptions")

    def _refuse_conflicts(self) -> None:
        twice = sorted(set(self.env) & set(self.options.env))
        if twice:
            raise ManifestError(
                f"{', '.join(twice)} is set here and in Env of createOptions, which would win: keep one of them",
                path=f"{self.name}.env",
            )
