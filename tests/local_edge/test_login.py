"""Who may log in to the edge hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from iot_core import sas
from iot_core.clock import ManualClock
from iot_core.identity import Identity, generate_key
from local_edge.edgehub.login import LoginRefusedError, LoginRules
from local_edge.keys import KeyStore, ModuleKey

KEY, OTHER_KEY = generate_key(), generate_key()
ME = Identity("edge", "m")


@pytest.fixture
def rules(tmp_path: Path) -> LoginRules:
    keys = KeyStore(tmp_path / "identities.json")
    keys.put("m", ModuleKey(key=KEY, generation_id="1"))
    return LoginRules(device="edge", hosts=("hub.example", "127.0.0.2"), keys=keys, clock=ManualClock(1000.0))


def token(identity: Identity = ME, host: str = "hub.example", key: str = KEY, expiry: int = 2000) -> str:
    return sas.sign(identity.resource(host), key, expiry)


@pytest.mark.parametrize("host", ["hub.example", "HUB.example", "127.0.0.2"])
def test_the_audience_may_name_the_hub_or_the_gateway(rules: LoginRules, host: str) -> None:
    assert rules.check(ME, token(host=host)).expires_at == 2000


@pytest.mark.parametrize(
    "bad",
    [
        token(key=OTHER_KEY),
        token(host="elsewhere"),
        token(Identity("edge", "n")),
        token(expiry=100),
        "SharedAccessSignature nonsense",
        "",
    ],
)
def test_a_bad_token_is_refused(rules: LoginRules, bad: str) -> None:
    with pytest.raises(LoginRefusedError, match="edge/m"):
        rules.check(ME, bad)


@pytest.mark.parametrize("identity", [Identity("edge", "n"), Identity("edge"), Identity("leaf"), Identity("leaf", "m")])
def test_strangers_are_refused_whatever_they_sign(rules: LoginRules, identity: Identity) -> None:
    with pytest.raises(LoginRefusedError):
        rules.check(identity, token(identity))


def test_keys_are_private_on_disk_and_never_in_a_repr(rules: LoginRules, tmp_path: Path) -> None:
    path = tmp_path / "identities.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeyStore(path).modules["m"].key == KEY
    assert KEY not in repr(KeyStore(path).modules)
