"""Photographs sent to the scorer as Azure ML clients send them: `{"data": [[[[…]]]]}`, normalised for ResNet50v2."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import orjson

from edgeyard.demo.findings import Finding
from edgeyard.demo.yard import Say
from modules.scorer.photograph import read_photograph

__all__ = ["classify_photographs"]

SAMPLES = Path("modules/scorer/samples")
EXPECTED = {
    "cat.jpg": ("cat",),
    "coffee.jpg": ("espresso", "cup"),
    "flower.jpg": ("daisy",),
    "palace.jpg": ("palace",),
    "rocket.jpg": ("missile", "projectile"),
}
"""Words of which the label of each photograph must have one."""
TIMEOUT_S = 15


@dataclass(frozen=True, kw_only=True)
class Classified:
    """The likeliest class of a photograph, its probability, and the scorer's own time in milliseconds."""

    label: str
    probability: float
    scorer_ms: float


async def classify_photographs(edge_host: str, project: Path, say: Say) -> list[Finding]:
    """Scores each sample photograph on the edge; one finding for all of them."""
    url = f"http://{edge_host}:5001"
    try:
        async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
            labels = await _labels(session)
            found = {name: await _classify(session, project / SAMPLES / name, labels) for name in EXPECTED}
    except (aiohttp.ClientError, TimeoutError) as error:
        reason = f"the scorer on {url} did not answer: {error or type(error).__name__}"
        return [Finding(what="photographs classified", seen=reason, ok=False)]
    say(f"photographs: {len(found)} classified by the scorer, {_median_ms(found):.0f} ms each")
    return [
        Finding(
            what=f"photograph {name}",
            seen=f"{classified.label} ({classified.probability:.0%})",
            ok=any(word in classified.label for word in EXPECTED[name]),
        )
        for name, classified in found.items()
    ]


async def _labels(session: aiohttp.ClientSession) -> list[str]:
    async with session.get("/models") as response:
        response.raise_for_status()
        models: dict[str, Any] = await response.json()
    return list(models["classifier"]["labels"])


async def _classify(session: aiohttp.ClientSession, photograph: Path, labels: list[str]) -> Classified:
    body = await asyncio.to_thread(lambda: orjson.dumps({"data": read_photograph(photograph.read_bytes()).tolist()}))
    async with session.post("/score", data=body, headers={"Content-Type": "application/json"}) as response:
        response.raise_for_status()
        answer = await response.json()
    logits = np.array(answer["result"][0])
    shares = np.exp(logits - logits.max())
    best = int(shares.argmax())
    return Classified(
        label=labels[best], probability=float(shares[best] / shares.sum()), scorer_ms=answer["time"] * 1000
    )


def _median_ms(found: dict[str, Classified]) -> float:
    return float(np.median([classified.scorer_ms for classified in found.values()]))
