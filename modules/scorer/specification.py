"""What an operator says of a model: `models: {name: {source, sha256, task, …}}` in the module twin."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel

__all__ = ["RESERVED", "ModelName", "ModelSpec", "Preprocessing", "Task", "is_loopback", "is_url"]

ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]
RESERVED = ("value", "ac", "av", "ad")
"""Not names of models: in the reported property `models` the acknowledgement stands beside them."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=128)]
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_SIDE = 2048  # pixels of a model's picture; larger ones are not fed to an edge device


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True
    )


class Task(StrEnum):
    """What a model is for, which decides its defaults."""

    CLASSIFICATION = "classification"
    EMOTION = "emotion"
    REGRESSION = "regression"
    ANOMALY = "anomaly"
    RAW = "raw"
    SCRIPT = "script"


class Preprocessing(_Part):
    """How a picture becomes the model's input: (pixel × scale - mean) / std, pixels from 0 to 255."""

    size: tuple[int, int] | None = Field(
        default=None, description="Height and width in pixels; default: those of the model's input"
    )
    resize: Literal["crop", "stretch", "pad"] = Field(
        default="crop",
        description="crop: the centre of the picture; stretch: the whole, distorted; pad: with black bars",
    )
    short_side: int | None = Field(
        default=None, ge=8, le=MAX_SIDE, description="With crop: the short side is scaled to this before the crop"
    )
    channels: Literal["rgb", "bgr", "gray"] = Field(default="rgb", description="Order of the channels")
    layout: Literal["nchw", "nhwc"] = Field(default="nchw", description="Order of the input's dimensions")
    scale: float = Field(default=1 / 255, gt=0, description="Pixels are multiplied by this first")
    mean: tuple[float, ...] = Field(default=(0.485, 0.456, 0.406), description="One value, or one per channel")
    std: tuple[float, ...] = Field(default=(0.229, 0.224, 0.225), description="One value, or one per channel")

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        channels = 1 if self.channels == "gray" else 3
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise ValueError(f"{name} needs one value, or {channels} for {self.channels} pictures")
        if any(value <= 0 for value in self.std):
            raise ValueError("std must be above 0")
        if self.size is not None and not all(1 <= side <= MAX_SIDE for side in self.size):
            raise ValueError(f"size must be from 1 to {MAX_SIDE} pixels")
        return self


FER_PREPROCESSING = Preprocessing(resize="stretch", channels="gray", scale=1.0, mean=(0.0,), std=(1.0,))


class ModelSpec(_Part):
    """One model. A model of our own (classifier, emotion, anomaly) needs no source."""

    enabled: bool = Field(default=True, description="false takes the model out of service")
    source: str | None = Field(
        default=None,
        max_length=4096,
        description="Absolute path or HTTPS URL of the ONNX file, or absolute path of an entry script (task script)",
    )
    sha256: Sha256 | None = Field(
        default=None, description="SHA-256 of that file in lower-case hexadecimal; a URL needs it"
    )
    task: Task | None = Field(default=None, description="What the model is for; default: raw, of our own models theirs")
    labels: list[Label] | str | None = Field(
        default=None, description="Names of the classes, or the absolute path of a file with one on each line"
    )
    preprocessing: Preprocessing | None = Field(
        default=None, description="How pictures become input; default: ImageNet's, or FER+'s for task emotion"
    )
    softmax: bool | None = Field(
        default=None, description="Turn the model's outputs into probabilities in results; default: for task emotion"
    )
    outputs: Literal["logits", "probabilities"] = Field(
        default="logits", description="What the model itself gives; labels always come with probabilities"
    )
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="Labels under this probability are left out of the answers to pictures"
    )
    top_k: int = Field(default=5, ge=1, le=1000, description="Labels in an answer to a picture")
    providers: list[Annotated[str, StringConstraints(max_length=64)]] | None = Field(
        default=None, description="Execution providers of this model, in order; default: the module's"
    )
    model_dir: str | None = Field(
        default=None, description="Task script: AZUREML_MODEL_DIR; default: the script's folder"
    )
    processes: int = Field(default=1, ge=1, le=16, description="Task script: processes that run it")
    timeout: float = Field(default=60.0, gt=0, le=3600, description="Task script: seconds that run() may take")

    @model_serializer(mode="wrap")
    def _as_it_was_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Without defaults: in a twin they would be noise, and null deletes."""
        said = {ModelSpec.model_fields[name].alias or name for name in self.model_fields_set}
        return {name: value for name, value in handler(self).items() if name in said and value is not None}

    @model_validator(mode="after")
    def _source_is_safe(self) -> Self:
        if self.source is None:
            return self
        if is_url(self.source):
            _check_url(self.source)
            if self.sha256 is None:
                raise ValueError("sha256 is needed with a URL: what comes from the network is used only if it is known")
            if self.task is Task.SCRIPT:
                raise ValueError("source of a script must be an absolute path: code is not fetched")
        elif not self.source.startswith("/"):
            raise ValueError("source must be an absolute path or an https URL")
        if isinstance(self.labels, str) and not self.labels.startswith("/"):
            raise ValueError("labels must be a list of names or an absolute path")
        return self


def is_url(source: str) -> bool:
    """True for what is fetched, not read from disk."""
    return "://" in source


def is_loopback(host: str | None) -> bool:
    """True for this machine, where plain HTTP is let pass."""
    return host is not None and (host in LOOPBACK or host.startswith("127."))


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ValueError("source must not hold a user name or a password")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("source must be an https URL (http only from this machine)")
    if not parts.hostname:
        raise ValueError("source names no host")
