"""The models in service, by name, and how one takes the place of another.

    loading   fetch → verify → load → warm up; the model in force, if there is one, answers meanwhile
    ready     the new model is in force; requests under way end on the old one
    failed    the reason is kept, the old model stays in force
    disabled  not in service

A switch is one assignment on the event loop, so it falls between two requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from iot_core.errors import EdgeyardError
from modules.scorer.fetching import Fetcher, read_labels
from modules.scorer.models import MODELS_FOLDER
from modules.scorer.onnx_model import OnnxModel
from modules.scorer.scoring import ScoringModel
from modules.scorer.script import ScriptModel
from modules.scorer.specification import ModelSpec, Preprocessing, Task

__all__ = ["BUILT_IN", "Catalogue", "ModelStatus", "NotServedError", "Servable", "UnknownModelError", "load_model"]

Servable = ScoringModel | ScriptModel
log = structlog.get_logger("scorer")


def _built_in(name: str, task: Task, preprocessing: Preprocessing | None = None) -> ModelSpec:
    labels = MODELS_FOLDER / f"{name}.labels.txt"
    return ModelSpec(
        source=str(MODELS_FOLDER / f"{name}.onnx"),
        task=task,
        labels=str(labels) if labels.exists() else None,
        preprocessing=preprocessing,
    )


BUILT_IN: dict[str, ModelSpec] = {
    "classifier": _built_in("classifier", Task.CLASSIFICATION, Preprocessing(short_side=256)),
    "emotion": _built_in("emotion", Task.EMOTION),
    "anomaly": _built_in("anomaly", Task.ANOMALY),
}
"""The models in models/, with what their cards say."""


class UnknownModelError(EdgeyardError):
    """No model of that name was asked for."""


class NotServedError(EdgeyardError):
    """The model is disabled, still loading, or could not be loaded."""


@dataclass(frozen=True, kw_only=True)
class ModelStatus:
    """What is reported of a model: sha256 and provider are those in force, None when there is none."""

    status: str
    reason: str | None = None
    sha256: str | None = None
    provider: str | None = None

    def reported(self) -> dict[str, str]:
        """Without what is not there: null would delete in a twin."""
        return {name: value for name, value in vars(self).items() if value is not None}


async def load_model(name: str, spec: ModelSpec, fetcher: Fetcher, providers: Sequence[str] | None = None) -> Servable:
    """Fetch, verify, load and warm up; raises EdgeyardError with the reason."""
    assert spec.source is not None
    content = await fetcher.model(spec.source, spec.sha256)
    if spec.task is Task.SCRIPT:
        script = ScriptModel(name, spec, Path(spec.source))
        await script.start()
        return script
    return await asyncio.to_thread(_loaded, name, spec, content, spec.providers or providers)


def _loaded(name: str, spec: ModelSpec, content: bytes, providers: Sequence[str] | None) -> ScoringModel:
    labels = read_labels(Path(spec.labels)) if isinstance(spec.labels, str) else list(spec.labels or ())
    onnx = OnnxModel.from_bytes(content, Path(f"{name}.onnx"), providers)
    model = ScoringModel(name, spec, onnx, labels)
    model.warm_up()
    return model


Loader = Callable[[str, ModelSpec, Sequence[str] | None], Awaitable[Servable]]


class Catalogue:
    """Which model answers to a name. Use from one event loop."""

    def __init__(
        self, load: Loader, *, built_in: Mapping[str, ModelSpec] = BUILT_IN, changed: Callable[[], None] = lambda: None
    ) -> None:
        """`load` makes a model that is ready to answer; `changed` is told when what is served or reported changed."""
        self._load = load
        self._built_in = dict(built_in)
        self.changed = changed
        self._models: dict[str, Servable] = {}
        self._specs: dict[str, tuple[ModelSpec, tuple[str, ...]]] = {}
        """What was last tried for each name, successfully or not."""
        self._statuses: dict[str, ModelStatus] = {}
        self._turn = asyncio.Lock()
        self._newest = 0
        self._retiring: set[asyncio.Task[None]] = set()

    def names(self) -> list[str]:
        """The models that answer now."""
        return list(self._models)

    def in_force(self, name: str) -> Servable | None:
        """The model that answers to the name now, if any."""
        return self._models.get(name)

    def get(self, name: str) -> Servable:
        """The model in force; raises UnknownModelError or NotServedError. The caller may go on with it after a
        switch."""
        model = self._models.get(name)
        if model is not None:
            return model
        status = self._statuses.get(name)
        if status is None:
            raise UnknownModelError(f"there is no model {name}: there are {', '.join(sorted(self._models))}")
        raise NotServedError(f"the model {name} is {status.status}" + (f": {status.reason}" if status.reason else ""))

    def statuses(self) -> dict[str, dict[str, str]]:
        """What is reported, by name."""
        return {name: status.reported() for name, status in self._statuses.items()}

    def failures(self) -> list[str]:
        """ "name: reason" of every model that is asked for and could not be loaded."""
        return [f"{name}: {status.reason}" for name, status in self._statuses.items() if status.status == "failed"]

    async def apply(self, wanted: Mapping[str, ModelSpec], providers: Sequence[str] | None = None) -> bool:
        """Bring the models into line with `wanted` over the built-in ones; returns when all is loaded or has failed.
        False if a newer call has taken over, which it does after the model that this one is at."""
        self._newest += 1
        mine = self._newest
        async with self._turn:
            specs = self._complete(wanted)
            for name in [name for name in self._statuses if name not in specs]:
                self._drop(name, None)
            for name, spec in specs.items():
                if mine != self._newest:
                    return False
                await self._bring(name, spec, tuple(providers or ()))
            return mine == self._newest

    async def close(self) -> None:
        """End every process that models have."""
        for name in list(self._models):
            self._drop(name, ModelStatus(status="disabled"))
        await asyncio.gather(*self._retiring, return_exceptions=True)

    def _complete(self, wanted: Mapping[str, ModelSpec]) -> dict[str, ModelSpec]:
        specs = dict(self._built_in)
        for name, spec in wanted.items():
            base = self._built_in.get(name)
            specs[name] = spec if base is None else _over(base, spec)
        return specs

    async def _bring(self, name: str, spec: ModelSpec, providers: tuple[str, ...]) -> None:
        if not spec.enabled:
            self._drop(name, ModelStatus(status="disabled"))
            return
        if self._specs.get(name) == (spec, providers) and self._statuses[name].status != "failed":
            return
        self._specs[name] = (spec, providers)
        self._tell(name, "loading")
        try:
            model = await self._load(name, spec, providers or None)
        except EdgeyardError as error:
            log.warning("model not loaded", model=name, reason=str(error), old_one_stays=name in self._models)
            self._tell(name, "failed", str(error))
            return
        self._retire(self._models.get(name))
        self._models[name] = model
        self._tell(name, "ready")
        say = log.debug if spec is self._built_in.get(name) else log.info
        say("model in force", model=name, **_marks(model))

    def _tell(self, name: str, status: str, reason: str | None = None) -> None:
        model = self._models.get(name)
        self._statuses[name] = ModelStatus(status=status, reason=reason, **(_marks(model) if model else {}))
        self.changed()

    def _drop(self, name: str, status: ModelStatus | None) -> None:
        self._specs.pop(name, None)
        self._retire(self._models.pop(name, None))
        if status is None:
            self._statuses.pop(name, None)
        else:
            self._statuses[name] = status
        self.changed()

    def _retire(self, model: Servable | None) -> None:
        if isinstance(model, ScriptModel):
            task = asyncio.create_task(model.close())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)


def _marks(model: Servable) -> dict[str, Any]:
    information = model.information()
    return {"sha256": information["sha256"], "provider": information["provider"]}


def _over(base: ModelSpec, spec: ModelSpec) -> ModelSpec:
    """`base` with what `spec` says explicitly."""
    return base.model_copy(update={name: getattr(spec, name) for name in spec.model_fields_set})
