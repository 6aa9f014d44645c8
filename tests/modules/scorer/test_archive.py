"""The series of the telemetry scorer on disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from iot_core.errors import StoreError
from modules.scorer.anomaly import AnomalyModel, Detector, Judgement, Key
from modules.scorer.archive import Archive, keep_saving
from modules.scorer.settings import ScorerSettings

MODEL = AnomalyModel()
SETTINGS = ScorerSettings.from_twin({"minimumHistory": 24})
VALUES = (np.sin(np.arange(500) / 4) * 5 + 20).tolist()


def key(name: str) -> Key:
    return (name, None, "s", "temperature")


def lived(*names: str, settings: ScorerSettings = SETTINGS) -> Detector:
    detector = Detector(MODEL)
    for name in names:
        detector.judge_all([(key(name), value) for value in VALUES[:400]], settings)
    return detector


def following(detector: Detector, name: str, settings: ScorerSettings = SETTINGS) -> list[Judgement]:
    return detector.judge_all([(key(name), value) for value in VALUES[400:]], settings)


async def restarted(folder: Path, limit: int = 100) -> Detector:
    archive, detector = Archive(folder), Detector(MODEL)
    detector.restore(archive.load(limit))
    await archive.close()
    return detector


async def saved(folder: Path, detector: Detector) -> None:
    archive = Archive(folder)
    await archive.save(detector)
    await archive.close()


async def test_a_series_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    detector = lived("a")
    await saved(tmp_path, detector)
    assert following(await restarted(tmp_path), "a") == following(detector, "a")


async def test_contexts_are_learnt_again_from_the_values(tmp_path: Path) -> None:
    settings = ScorerSettings.from_twin({"minimumHistory": 24, "detector": "context", "refractoryValues": 0})
    await saved(tmp_path, lived("a", settings=settings))
    taught = Detector(MODEL)
    taught.remember(key("a"), VALUES[:400], settings)
    assert following(await restarted(tmp_path), "a", settings) == following(taught, "a", settings)


async def test_only_what_changed_is_written(tmp_path: Path) -> None:
    detector = lived("a", "b")
    archive = Archive(tmp_path)
    await archive.save(detector)
    following(detector, "b")
    kept, gone = detector.changed()
    assert ([each.key for each in kept], gone) == ([key("b")], [])
    await archive.close()


async def test_the_series_used_last_are_loaded_and_stay_the_last(tmp_path: Path) -> None:
    detector = lived("a", "b", "c")
    following(detector, "a")
    await saved(tmp_path, detector)
    after = await restarted(tmp_path, limit=2)
    after.judge(key("d"), 1.0, ScorerSettings.from_twin({"maxSeries": 2}))
    assert after.judge(key("a"), VALUES[0], SETTINGS).score is not None
    assert after.judge(key("c"), VALUES[0], SETTINGS).score is None


async def test_a_forgotten_series_leaves_the_disk(tmp_path: Path) -> None:
    detector, few = lived("a", "b"), ScorerSettings.from_twin({"maxSeries": 1})
    archive = Archive(tmp_path)
    await archive.save(detector)
    detector.judge(key("b"), 1.0, few)
    await archive.save(detector)
    assert [each.key for each in archive.load(100)] == [key("b")]
    assert detector.forgotten == 1
    await archive.close()


async def test_what_a_full_disk_refused_is_written_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector, archive = lived("a"), Archive(tmp_path)

    async def refuse(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(archive._store, "write", refuse)
        with pytest.raises(StoreError):
            await archive.save(detector)
    await archive.save(detector)
    assert [each.key for each in archive.load(100)] == [key("a")]
    await archive.close()


async def test_it_is_saved_again_and_again(tmp_path: Path) -> None:
    detector, archive = lived("a"), Archive(tmp_path)
    saving = asyncio.create_task(keep_saving(archive, detector, every_s=0.01))
    async with asyncio.timeout(10):
        while not archive.load(100):
            await asyncio.sleep(0.005)
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)
    await archive.close()
