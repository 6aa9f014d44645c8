"""Where the values of secrets come from: the process environment over a file of NAME=VALUE lines, or Azure Key Vault.

Values go into what is sent to the hub and nowhere else: they are not printed, not stored, and in no message or repr.
Source: Azure Key Vault documentation, "About keys, secrets, and certificates" (names have letters, digits and -).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from hub_tools.deployments import ENV_FILE, read_env_file
from hub_tools.manifests import Deployment, Layer
from hub_tools.manifests.secrets import secret_names
from hub_tools.stacks.environments import Environment
from iot_core.errors import InputError

__all__ = ["KEY_VAULT", "SecretError", "SecretValues", "secrets_of", "value_of"]

KEY_VAULT = "keyvault:"
_SIGN_IN = "Sign in with `az login`, or ask for the role 'Key Vault Secrets User'."


class SecretError(InputError):
    """A secret that has no value, or a place of secrets that cannot be read; the message never holds a value."""


class Source(Protocol):
    """A place of secrets."""

    place: str
    """What it is, for messages."""

    def find(self, name: str) -> str | None:
        """The value, None where there is none; SecretError when the place cannot be asked."""
        ...


class SecretValues:
    """Call it with the name of a secret for its value; SecretError when it has none."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __call__(self, name: str) -> str:
        self.require([name])
        return self.maybe(name) or ""

    def maybe(self, name: str) -> str | None:
        """The value as far as it is known here, for a preview, which can do without."""
        try:
            return self._source.find(name)
        except SecretError:
            return None

    def require(self, names: Iterable[str]) -> None:
        """SecretError that names all of these that have no value."""
        missing = sorted(name for name in set(names) if self._source.find(name) is None)
        if missing:
            what = "secret" if len(missing) == 1 else "secrets"
            raise SecretError(f"{what} {', '.join(missing)}: no value in {self._source.place}; set it there")


def value_of(
    environment: Environment,
    folder: Path,
    *,
    variables: Mapping[str, str] | None = None,
    vault: Any = None,
) -> SecretValues:
    """The secrets of an environment.

    With `secrets = "keyvault:NAME"` they are asked of the vault NAME.vault.azure.net, where a name has - for each _.
    Otherwise they are those of the process environment, over the file that the environment names (relative to `folder`,
    the program's), or over .env in `folder`, else in the current folder.

    `variables` stands in for the process environment, `vault` for the SecretClient of azure-keyvault-secrets.
    """
    place = environment.secrets or ""
    if place.startswith(KEY_VAULT):
        return SecretValues(_Vault(place.removeprefix(KEY_VAULT), vault))
    return SecretValues(_Variables(os.environ if variables is None else variables, _file(environment, folder)))


def secrets_of(items: Iterable[Deployment | Layer]) -> set[str]:
    """The names of all secrets that deployments and layers refer to."""
    return {name for item in items for name in secret_names(item.to_content())}


def _file(environment: Environment, folder: Path) -> Path:
    if environment.secrets:
        file = folder / environment.secrets
        if not file.is_file():
            raise SecretError(f"environment {environment.name}: its file of secrets {file} does not exist")
        return file
    beside = folder / ENV_FILE
    return beside if beside.is_file() else Path(ENV_FILE)


class _Variables:
    def __init__(self, variables: Mapping[str, str], file: Path) -> None:
        self._values = {**read_env_file(file), **variables}
        self.place = f"the environment and {file}"

    def find(self, name: str) -> str | None:
        return self._values.get(name)


class _Vault:
    """Each secret is asked for once."""

    def __init__(self, name: str, client: Any) -> None:
        self.place = f"the key vault {name}"
        self._client = client or _client(name)
        self._known: dict[str, str | None] = {}

    def find(self, name: str) -> str | None:
        if name not in self._known:
            self._known[name] = self._ask(name)
        return self._known[name]

    def _ask(self, name: str) -> str | None:
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            value = self._client.get_secret(name.replace("_", "-")).value
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise SecretError(f"{self.place} cannot be read: {reason} {_SIGN_IN}") from None
        return None if value is None else str(value)


def _client(name: str) -> Any:
    try:
        from azure.identity import DefaultAzureCredential
        from azure.keyvault.secrets import SecretClient
    except ImportError:
        raise SecretError(
            f"secrets from the key vault {name} need azure-identity and azure-keyvault-secrets: "
            "pip install 'edgeyard[azure]'"
        ) from None
    return SecretClient(f"https://{name}.vault.azure.net", DefaultAzureCredential())
