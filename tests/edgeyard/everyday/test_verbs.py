"""The everyday verbs against a hub, as they are typed."""

from __future__ import annotations

import asyncio
import io
import json
import stat
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hub_tools.devices import Action, DeviceRecord, ImportPlan, PlannedDevice, carry_out, change_in_bulk
from local_hub.environment import hub_environment
from tests.edgeyard.everyday.conftest import Command
from tests.hub_tools.conftest import PROJECT, RunningHub
from tests.hub_tools.device_side import fetch

GROUPS = """\
groups:
  b1: tags.building = 'B1'
  all-of-them: {any: [b1, b2]}
  b2: tags.building = 'B2'
"""
WITHIN_S = 20.0


DEVICES = [
    DeviceRecord(device_id="t1", tags={"building": "B1", "floor": 1}),
    DeviceRecord(device_id="t2", tags={"building": "B1", "floor": 2}),
    DeviceRecord(device_id="e1", tags={"building": "B2"}, edge=True),
]


@pytest.fixture
def yard(edgeyard: Command, hub: RunningHub, tmp_path: Path) -> Iterator[Command]:
    """Three devices and a file of groups; queries know of them. Afterwards the hub is empty."""
    (tmp_path / "groups.yaml").write_text(GROUPS)
    asyncio.run(create(hub))
    rows_are(edgeyard, "SELECT deviceId FROM devices WHERE is_defined(tags.building)", ["e1", "t1", "t2"])
    yield edgeyard
    asyncio.run(clear(hub))


async def create(hub: RunningHub) -> None:
    planned = [PlannedDevice(record=record, action=Action.CREATE) for record in DEVICES]
    async with hub.service() as service:
        assert await carry_out(service, ImportPlan(devices=planned, errors=[])) == []


async def clear(hub: RunningHub) -> None:
    """Until queries know of no device any more."""
    async with hub.service() as service:
        while rows := [row async for row in service.query("SELECT deviceId FROM devices")]:
            await change_in_bulk(service, [{"id": row["deviceId"], "importMode": "delete"} for row in rows])


def rows_are(edgeyard: Command, query: str, devices: list[str]) -> None:
    """Until queries say so, which takes some seconds on a hub that is like Azure's."""
    deadline = time.monotonic() + WITHIN_S
    while sorted(row["deviceId"] for row in edgeyard("query", query, "-o", "json").json) != devices:
        assert time.monotonic() < deadline


def test_a_device_is_shown_without_its_keys(yard: Command) -> None:
    shown = yard("devices", "show", "e1", "--output", "json")
    assert shown.json["edge"] is True
    assert shown.json["modules"] == ["$edgeAgent", "$edgeHub"]
    key = yard("devices", "connection-string", "e1").out.partition("SharedAccessKey=")[2].strip()
    assert len(key) == 44
    table = yard("devices", "show", "e1").out
    assert key not in shown.out + table
    assert ["lastActivityTime", "never"] in [line.split() for line in table.splitlines()]


def test_a_connection_string_is_that_of_a_device_or_names_the_modules(yard: Command, hub: RunningHub) -> None:
    assert yard("devices", "connection-string", "t1").out.startswith(f"HostName={hub.host};DeviceId=t1;")
    missing = yard("devices", "connection-string", "e1", "--module", "scorer")
    assert missing.code == 2
    assert "$edgeAgent, $edgeHub" in missing.err


def test_devices_are_listed_by_condition_and_by_group(yard: Command) -> None:
    listed = yard("devices", "list", "--where", "tags.floor = 2", "-o", "json").json
    assert [twin["deviceId"] for twin in listed] == ["t2"]
    assert len(yard("devices", "list", "--group", "all-of-them", "-o", "json").json) == 3
    assert "t1" in yard("devices", "list", "--group", "b1").out
    unknown = yard("devices", "list", "--group", "b7")
    assert (unknown.code, "b1, all-of-them, b2" in unknown.err) == (2, True)


def test_tags_are_set_on_all_that_match_and_only_once(yard: Command) -> None:
    first = yard("devices", "tag", "--group", "b1", "site.zone=north", "floor=null", "-o", "json").json
    assert first == {"matched": 2, "written": 2, "unchanged": 0, "failed": []}
    assert yard("twin", "show", "t1").json["tags"] == {"building": "B1", "site": {"zone": "north"}}
    rows_are(yard, "SELECT deviceId FROM devices WHERE tags.site.zone = 'north'", ["t1", "t2"])
    assert "2 had the tags already" in yard("devices", "tag", "--where", "tags.building = 'B1'", "site.zone=north").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("devices", "tag", "a=1"), "or --all"),
        (("devices", "tag", "--where", "*", "a=1"), "say --all"),
        (("c2d", "send", "--all", "--group", "b1", "hello"), "one of them"),
        (("devices", "tag", "--where", "tags.a = 77", "a=1"), "no device matches"),
        (("devices", "tag", "--all", "a.$b=1"), "$b"),
        (("devices", "tag", "--where", "tags.a =", "a=1"), "--where"),
        (("devices", "list", "--where", "*", "--group", "b1"), "not both"),
        (("twin", "set", "t1"), "--desired NAME=VALUE"),
        (("methods", "call", "t1", "reboot", "--payload", "{"), "--payload is not JSON"),
        (("c2d", "send", "t1"), "DEVICE BODY"),
        (("c2d", "send", "--group", "b1", "t1", "hello"), "--group NAME BODY"),
        (("c2d", "send", "nobody", "hello"), "nobody"),
        (("groups", "show", "--by", "floor"), "tags.floor"),
        (("groups", "list", "--groups", "nothing.yaml"), "nothing.yaml"),
        (("devices", "import", "nothing.csv"), "nothing.csv"),
        (("query", "SELECT * FROM devices WHERE tags.a ="), "expected a value, found the end of the query"),
        (("query", "SELECT * FROM devices", "--hub", "nothing"), "there is no profile 'nothing'"),
        (("devices", "show", "--module-id", "m"), "--module-id"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do(edgeyard: Command, arguments: tuple[str, ...], words: str) -> None:
    Path("groups.yaml").write_text(GROUPS)
    result = edgeyard(*arguments)
    assert (result.code, len(result.err.strip().splitlines())) == (2, 1), result.err
    assert words in result.err


def test_an_export_is_imported_again_without_a_change(yard: Command) -> None:
    assert yard("devices", "export", "all.csv").code == 0
    assert Path("all.csv").read_text().splitlines()[:2] == [
        "deviceId,status,edge,tags.building,tags.floor",
        "e1,enabled,yes,B2,",
    ]
    assert "3 as it is" in yard("devices", "import", "all.csv").out
    assert yard("devices", "export", "-", "--format", "json", "--group", "b2").json == [
        {"deviceId": "e1", "status": "enabled", "edge": True, "tags": {"building": "B2"}}
    ]


def test_keys_are_exported_only_when_asked_for_and_then_privately(yard: Command) -> None:
    assert "Key" not in yard("devices", "export", "-").out
    assert yard("devices", "export", "keys.json", "--keys").code == 0
    assert stat.S_IMODE(Path("keys.json").stat().st_mode) == 0o600
    assert len(json.loads(Path("keys.json").read_text())[0]["primaryKey"]) == 44


def test_an_import_says_what_it_will_do_and_names_bad_lines(yard: Command) -> None:
    Path("new.csv").write_text("deviceId,tags.floor\nt1,5\nbad id,1\nn1,\n")
    dry = yard("devices", "import", "new.csv", "--dry-run")
    assert (dry.code, "1 create, 1 change twin" in dry.out, "line 3" in dry.err) == (3, True, True)
    assert yard("twin", "show", "t1").json["tags"]["floor"] == 1
    done = yard("devices", "import", "new.csv", "-o", "json")
    assert (done.code, done.json["done"], done.json["errors"][0]["line"]) == (3, 2, 3)
    assert yard("twin", "show", "t1").json["tags"]["floor"] == 5
    rows_are(yard, "SELECT deviceId FROM devices WHERE deviceId = 'n1'", ["n1"])


def test_a_query_ends_after_so_many_rows_in_three_formats(yard: Command) -> None:
    text = "SELECT deviceId, tags.floor FROM devices WHERE tags.building = 'B1'"
    assert len(yard("query", text, "--top", "1", "-o", "json").json) == 1
    assert yard("query", text, "-o", "csv").out == "deviceId,floor\nt1,1\nt2,2\n"
    assert yard("query", text).out.split() == ["deviceId", "floor", "t1", "1", "t2", "2"]
    assert yard("query", "SELECT * FROM devices WHERE tags.floor = 9", "-o", "json").json == []


def test_a_twin_is_set_by_names_or_by_an_object_and_compared(yard: Command) -> None:
    assert yard("twin", "set", "t1", "--desired", "a.b=1").code == 0
    assert yard("twin", "set", "t1", "--desired", '{"c": 2}', "--tag", "x=y").json["tags"]["x"] == "y"
    rows = yard("twin", "diff", "t1", "-o", "json").json
    assert [(row["name"], row["state"]) for row in rows] == [("a.b", "unanswered"), ("c", "unanswered")]
    assert "0 of 2 desired properties" in yard("twin", "diff", "t1").err


def editor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """$VISUAL as a program that changes the text `t` it is given."""
    program = tmp_path / "editor.py"
    program.write_text(
        f"import sys, pathlib\nf = pathlib.Path(sys.argv[1])\nt = f.read_text()\n{code}\nf.write_text(t)\n"
    )
    monkeypatch.setenv("VISUAL", f"{sys.executable} {program}")


def test_a_twin_is_edited_as_text(yard: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    editor(monkeypatch, tmp_path, """t = '{"tags": {"building": "B9"}, "properties": {"desired": {"a": 1}}}'""")
    assert "changed desired.a, tags.building, tags.floor" in yard("twin", "edit", "t1").err
    twin = yard("twin", "show", "t1").json
    assert (twin["tags"], twin["properties"]["desired"]["a"]) == ({"building": "B9"}, 1)
    editor(monkeypatch, tmp_path, "pass")
    assert "nothing was changed" in yard("twin", "edit", "t1").err


def kept_in(error: str) -> Path:
    return Path(error.partition("kept in ")[2].split(";")[0].strip())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("t = t.replace('B1', '\"')", "not JSON"),
        ("t = t.replace('building', 'a.b')", "a.b"),
        ("t = t.replace('desired', 'reported')", "reported properties are the device's own"),
        ("t = t.replace('B1', 'B' * 5000)", "building"),
        ("sys.exit(3)", "ended with 3"),
    ],
)
def test_an_edit_that_cannot_be_sent_is_kept(
    yard: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, words: str
) -> None:
    editor(monkeypatch, tmp_path, code)
    result = yard("twin", "edit", "t1")
    assert result.code == 2
    assert words in result.err
    assert "tags" in kept_in(result.err).read_text()


def test_an_edit_under_which_the_twin_changed_is_kept_and_gone_on_with(
    yard: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub: RunningHub
) -> None:
    command = [sys.executable, "-m", "edgeyard", "twin", "set", "t1", "--tag", "by=other"]
    meanwhile = f"import subprocess\nsubprocess.run({command}, check=True, stdout=-3, cwd={str(PROJECT)!r})\n"
    editor(monkeypatch, tmp_path, meanwhile + "t = t.replace('B1', 'B5')")
    conflict = yard("twin", "edit", "t1")
    assert conflict.code == 1
    assert "changed by someone else" in conflict.err
    assert "B5" in kept_in(conflict.err).read_text()
    editor(monkeypatch, tmp_path, """t = t.replace('"building"', '"by": "other", "building"')""")
    assert yard("twin", "edit", "t1", "--from", str(kept_in(conflict.err))).code == 0
    tags = yard("twin", "show", "t1").json["tags"]
    assert (tags["by"], tags["building"]) == ("other", "B5")


def test_messages_go_to_a_device_or_to_a_group(yard: Command) -> None:
    assert yard("c2d", "send", "t1", "hello", "--property", "kind=note").out.split()[-1] == "sent"
    sent = yard("c2d", "send", "--group", "all-of-them", "hello", "-o", "json").json
    assert sorted(each["deviceId"] for each in sent) == ["e1", "t1", "t2"]
    assert len({each["messageId"] for each in sent}) == 3
    assert yard("devices", "show", "t1", "-o", "json").json["cloudToDeviceMessageCount"] == 2


def test_a_message_is_waited_for_until_its_device_has_it(yard: Command, hub: RunningHub) -> None:
    async def device() -> None:
        async with hub.service() as service:
            await fetch(service, "t2")

    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(asyncio.run, device())
        waited = yard("c2d", "send", "t2", "hello", "--wait-feedback", "-o", "json")
        fetched.result()
    assert (waited.code, waited.json[0]["feedback"]) == (0, "Success")


def test_a_message_that_nobody_fetches_has_no_feedback_in_time(yard: Command) -> None:
    waited = yard("c2d", "send", "t1", "hello", "--wait-feedback", "--timeout", "0.2")
    assert waited.code == 1
    assert "no feedback yet" in waited.out


def test_groups_are_listed_and_counted_with_bars(yard: Command) -> None:
    assert yard("groups", "list", "-o", "json").json[0] == {"name": "b1", "condition": "tags.building = 'B1'"}
    shown = yard("groups", "show")
    assert [line.split()[:2] for line in shown.out.splitlines()[1:]] == [["b1", "2"], ["all-of-them", "3"], ["b2", "1"]]
    assert shown.out.count("█") > 40
    by_floor = yard("groups", "show", "all-of-them", "--by", "tags.floor", "-o", "json").json
    assert sorted(by_floor, key=str) == sorted(
        [{"value": 1, "devices": 1}, {"value": 2, "devices": 1}, {"value": None, "devices": 1}], key=str
    )


def test_the_option_names_of_az_are_taken(yard: Command) -> None:
    assert yard("devices", "show", "-d", "t1", "-n", "local", "-o", "json").json["deviceId"] == "t1"
    assert yard("query", "-q", "SELECT deviceId FROM devices", "--top", "1", "-o", "json").code == 0
    assert yard("twin", "show", "--device-id", "e1", "-m", "$edgeHub").json["moduleId"] == "$edgeHub"
    assert "DeviceNotOnline" in yard("methods", "call", "--mn", "reboot", "-d", "t1", "--mp", "{}").err
    assert yard("c2d", "send", "-d", "t1", "--data", "hello").code == 0


def test_a_profile_stands_for_a_connection_string_that_no_command_shows(
    yard: Command, hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = hub_environment(hub.home, policy="service")["IOTHUB_CONNECTION_STRING"]
    key = text.partition("SharedAccessKey=")[2]
    monkeypatch.setattr(sys, "stdin", io.StringIO(text + "\n"))
    added = yard("profiles", "add", "fleet")
    monkeypatch.setenv("FROM_HERE", text)
    assert yard("profiles", "add", "other", "--from-env", "FROM_HERE").code == 0
    listed = yard("profiles", "list")
    assert key not in added.out + added.err + listed.out
    assert listed.out.split().count("service") == 2
    assert yard("query", "SELECT deviceId FROM devices", "--hub", "fleet", "-o", "json").code == 0
    assert yard("profiles", "remove", "fleet").code == 0
    assert [row["name"] for row in yard("profiles", "list", "-o", "json").json] == ["other"]


@pytest.mark.parametrize("argument", ["HostName=h;SharedAccessKeyName=a;SharedAccessKey=AAAA"])
def test_a_connection_string_as_an_argument_is_refused_unread(edgeyard: Command, argument: str) -> None:
    refused = edgeyard("profiles", "add", "fleet", argument)
    assert refused.code == 2
    assert "never an argument" in refused.err
    assert "AAAA" not in refused.err


@pytest.mark.parametrize(
    ("policy", "arguments", "right"),
    [
        ("registryRead", ("query", "SELECT * FROM devices"), "ServiceConnect"),
        ("registryRead", ("devices", "create", "x"), "RegistryRead and RegistryWrite"),
        ("registryRead", ("devices", "delete", "t1"), "RegistryRead and RegistryWrite"),
        ("registryRead", ("devices", "list"), "ServiceConnect"),
        ("registryRead", ("twin", "show", "t1"), "ServiceConnect"),
        ("registryRead", ("methods", "call", "t1", "reboot"), "ServiceConnect"),
        ("registryRead", ("c2d", "send", "t1", "hello"), "ServiceConnect"),
        ("registryRead", ("groups", "show"), "ServiceConnect"),
        ("service", ("devices", "show", "t1"), "RegistryRead"),
        ("service", ("devices", "connection-string", "t1"), "RegistryRead"),
        ("device", ("twin", "diff", "t1"), "ServiceConnect"),
        ("device", ("devices", "show", "t1"), "RegistryRead"),
    ],
)
def test_a_lesser_policy_is_told_which_right_it_lacks(
    edgeyard: Command, hub: RunningHub, policy: str, arguments: tuple[str, ...], right: str
) -> None:
    Path("groups.yaml").write_text(GROUPS)
    lesser = hub_environment(hub.home, policy=policy)["IOTHUB_CONNECTION_STRING"]
    refused = edgeyard(*arguments, "--hub", lesser)
    assert refused.code == 1
    assert f"{right} (in Entra" in refused.err
    assert f"which the policy {policy} may not have" in refused.err
    assert len(refused.err.strip().splitlines()) == 1


def test_a_policy_of_services_may_tag_and_sees_no_keys(yard: Command, hub: RunningHub) -> None:
    lesser = hub_environment(hub.home, policy="service")["IOTHUB_CONNECTION_STRING"]
    assert "3 tagged" in yard("devices", "tag", "--all", "new=1", "--hub", lesser).out
    exported = yard("devices", "export", "-", "--keys", "--hub", lesser)
    assert (exported.code, "needs RegistryRead (in Entra" in exported.err) == (1, True)


def test_a_policy_that_may_read_identities_only_shows_a_device_without_its_tags(yard: Command, hub: Any) -> None:
    lesser = hub_environment(hub.home, policy="registryRead")["IOTHUB_CONNECTION_STRING"]
    shown = yard("devices", "show", "t1", "--hub", lesser, "-o", "json")
    assert (shown.code, shown.json["status"]) == (0, "enabled")
    assert "without tags" in shown.err
