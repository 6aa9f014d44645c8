"""What every module of ours ships beside its code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from device.schema import is_current
from device.settings import TwinSettings
from modules.aggregator.settings import AggregatorSettings
from modules.scorer.settings import ScorerSettings
from modules.sentiment.settings import SentimentSettings
from modules.trigger.settings import TriggerSettings

REPOSITORY = Path(__file__).parents[2]
MODULES = ["aggregator", "scorer", "sentiment", "sentiment_container", "trigger"]
SETTINGS: dict[str, type[TwinSettings]] = {
    "aggregator": AggregatorSettings,
    "scorer": ScorerSettings,
    "sentiment": SentimentSettings,
    "trigger": TriggerSettings,
}


@pytest.mark.parametrize("module", SETTINGS)
def test_the_committed_schema_is_current(module: str) -> None:
    assert is_current(SETTINGS[module], REPOSITORY / "deployments" / "schemas" / f"{module}.json")


@pytest.mark.parametrize("module", SETTINGS)
def test_the_readme_names_every_setting_and_its_default(module: str) -> None:
    text = (REPOSITORY / "modules" / module / "README.md").read_text("utf-8")
    assert [name for name in SETTINGS[module].twin_names() if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("module", MODULES)
def test_module_json_points_to_its_dockerfiles_and_the_repository_root(module: str) -> None:
    folder = REPOSITORY / "modules" / module
    image = json.loads((folder / "module.json").read_text("utf-8"))["image"]
    assert (folder / image["contextPath"]).resolve() == REPOSITORY
    assert all((folder / path).is_file() for path in image["tag"]["platforms"].values())


@pytest.mark.parametrize(
    ("module", "platform"),
    [*((module, platform) for module in MODULES for platform in ("amd64", "arm64v8")), ("scorer", "gpu.amd64")],
)
def test_the_dockerfile_copies_what_exists_and_runs_without_root(module: str, platform: str) -> None:
    lines = (REPOSITORY / "modules" / module / f"Dockerfile.{platform}").read_text("utf-8").splitlines()
    defaults = dict(line.split()[1].split("=", 1) for line in lines if line.startswith("ARG "))
    copies = [
        [re.sub(r"\$\{(\w+)\}", lambda match: defaults[match[1]], name) for name in line.split()[1:-1]]
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
    ]
    assert copies
    assert all((REPOSITORY / name).exists() for names in copies for name in names)
    assert "USER 10001:10001" in lines
    assert any(line.startswith("HEALTHCHECK") and 'CMD ["' in line for line in lines)
    assert f'ENTRYPOINT ["python", "-m", "modules.{module}"]' in lines


def test_the_models_are_small_and_have_cards() -> None:
    models = sorted((REPOSITORY / "modules").glob("*/models/*.onnx"))
    assert [model.stem for model in models] == ["anomaly", "classifier", "emotion", "sentiment"]
    assert sum(model.stat().st_size for model in models) < 15_000_000
    assert all(model.with_suffix(".md").is_file() for model in models)
