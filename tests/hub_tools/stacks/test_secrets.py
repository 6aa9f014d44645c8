"""Values of secrets: the environment over a file, or a key vault; none of them ever shown."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError

from hub_tools.manifests import Deployment, Module, secret
from hub_tools.stacks.environments import Environment
from hub_tools.stacks.secrets import SecretError, secrets_of, value_of

DEV = Environment(name="dev")
PROD = Environment(name="prod", secrets="keyvault:fleet-secrets")


class FakeVault:
    """As azure.keyvault.secrets.SecretClient is asked."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.asked: list[str] = []

    def get_secret(self, name: str) -> SimpleNamespace:
        self.asked.append(name)
        if name not in self.values:
            raise ResourceNotFoundError(f"(SecretNotFound) {name}")
        return SimpleNamespace(value=self.values[name])


class LockedVault:
    def get_secret(self, name: str) -> SimpleNamespace:
        raise ClientAuthenticationError("DefaultAzureCredential failed.\nMore lines.")


def test_the_environment_wins_over_the_file_beside_the_program(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KEY=of-the-file\nOTHER=only-here\n")
    values = value_of(DEV, tmp_path, variables={"KEY": "of-the-process"})
    assert (values("KEY"), values("OTHER")) == ("of-the-process", "only-here")


def test_without_a_file_beside_the_program_it_is_that_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("KEY=here\n")
    monkeypatch.chdir(tmp_path)
    assert value_of(DEV, tmp_path / "deployments", variables={})("KEY") == "here"


def test_an_environment_may_name_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "prod.env").write_text("KEY=prod\n")
    named = Environment(name="prod", secrets="prod.env")
    assert value_of(named, tmp_path, variables={})("KEY") == "prod"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=r"environment prod: its file of secrets .*gone\.env does not exist"):
        value_of(Environment(name="prod", secrets="gone.env"), tmp_path)


def test_all_missing_secrets_are_named_at_once(tmp_path: Path) -> None:
    values = value_of(DEV, tmp_path, variables={"B": "1"})
    with pytest.raises(SecretError, match="secrets A, C: no value in the environment and "):
        values.require(["C", "B", "A"])
    assert values.maybe("A") is None


def test_a_vault_is_asked_once_for_each_secret() -> None:
    vault = FakeVault(**{"API-KEY": "s3cret"})
    values = value_of(PROD, Path(), vault=vault)
    assert (values("API_KEY"), values("API_KEY")) == ("s3cret", "s3cret")
    assert vault.asked == ["API-KEY"]


def test_a_secret_that_the_vault_lacks_is_named_with_the_vault() -> None:
    with pytest.raises(SecretError, match="secret API_KEY: no value in the key vault fleet-secrets; set it there"):
        value_of(PROD, Path(), vault=FakeVault())("API_KEY")


def test_a_vault_that_cannot_be_read_says_why_and_a_preview_does_without() -> None:
    values = value_of(PROD, Path(), vault=LockedVault())
    with pytest.raises(SecretError, match=r"cannot be read: DefaultAzureCredential failed\. Sign in with `az login`"):
        values("API_KEY")
    assert values.maybe("API_KEY") is None


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.keyvault.secrets", None)
    with pytest.raises(SecretError, match=r"pip install 'edgeyard\[azure\]'"):
        value_of(PROD, Path())


def test_no_value_is_in_a_repr_or_a_message(tmp_path: Path) -> None:
    values = value_of(DEV, tmp_path, variables={"KEY": "s3cret"})
    with pytest.raises(SecretError) as error:
        values("OTHER")
    assert "s3cret" not in f"{values!r}{vars(values)}{error.value}"


def test_the_secrets_of_a_stack_are_those_that_its_items_refer_to() -> None:
    module = Module(name="m", image="a:1", env={"K": f"key={secret('KEY')}"}, desired={"p": secret("PASSWORD")})
    assert secrets_of([Deployment(name="base", modules=[module])]) == {"KEY", "PASSWORD"}
