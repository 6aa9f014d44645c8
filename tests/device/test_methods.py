"""Direct methods as typed functions."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from device.client import MethodAnswer, MethodCall
from device.methods import MethodTable
from iot_core.errors import InputError


class Pump(BaseModel):
    speed: int


async def reboot(delay_seconds: Annotated[float, Field(ge=0, le=60)] = 0.0) -> dict[str, float]:
    return {"delay": delay_seconds}


async def start(pump: Pump) -> int:
    return pump.speed


async def refuse() -> None:
    raise InputError("the valve is closed")


async def break_down() -> None:
    raise RuntimeError("a secret of the implementation")


async def accept() -> MethodAnswer:
    return MethodAnswer(status=202, payload="later")


@pytest.fixture
def table() -> MethodTable:
    table = MethodTable()
    table.add("reboot", reboot)
    table.add("start", start)
    table.add("refuse", refuse)
    table.add("breakDown", break_down)
    table.add("accept", accept)
    return table


async def answer(table: MethodTable, name: str, payload: Any = None) -> tuple[int, Any]:
    result = await table.call(MethodCall(name=name, payload=payload))
    return result.status, result.payload


async def test_parameters_come_from_the_payload_in_camel_case(table: MethodTable) -> None:
    assert await answer(table, "reboot", {"delaySeconds": 5}) == (200, {"delay": 5.0})


async def test_no_payload_means_the_defaults(table: MethodTable) -> None:
    assert await answer(table, "reboot") == (200, {"delay": 0.0})


async def test_a_model_takes_the_whole_payload(table: MethodTable) -> None:
    assert await answer(table, "start", {"speed": 3}) == (200, 3)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"delaySeconds": -1}, "delaySeconds: Input should be greater than or equal to 0"),
        ({"delaySeconds": "5"}, "delaySeconds: Input should be a valid number"),
        ({"delay": 5}, "delay: Extra inputs are not permitted"),
        ([5], "payload: Input should be an object"),
    ],
)
async def test_a_payload_that_does_not_fit_answers_400_with_the_reason(
    table: MethodTable, payload: Any, reason: str
) -> None:
    assert await answer(table, "reboot", payload) == (400, {"error": reason})


async def test_an_unknown_method_answers_404_and_names_the_known_ones(table: MethodTable) -> None:
    status, payload = await answer(table, "selfDestruct")
    assert status == 404
    assert payload["error"].endswith("there are: accept, breakDown, reboot, refuse, start")


async def test_an_input_error_answers_400(table: MethodTable) -> None:
    assert await answer(table, "refuse") == (400, {"error": "the valve is closed"})


async def test_an_exception_answers_500_without_its_text(table: MethodTable) -> None:
    status, payload = await answer(table, "breakDown")
    assert status == 500
    assert "secret" not in payload["error"]


async def test_an_answer_of_its_own_is_passed_on(table: MethodTable) -> None:
    assert await answer(table, "accept") == (202, "later")


def test_a_name_can_be_taken_once(table: MethodTable) -> None:
    with pytest.raises(InputError, match="defined twice"):
        table.add("reboot", reboot)


def test_a_parameter_without_a_type_is_refused() -> None:
    async def untyped(speed) -> None:  # type: ignore[no-untyped-def]
        raise AssertionError(speed)

    with pytest.raises(InputError, match="without a type: speed"):
        MethodTable().add("untyped", untyped)
