"""Azurite, Azure's emulator of its storage, with a certificate of an authority of its own."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import time
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from tests.node.support import FOLDER
from transport.certificates import issue_server_certificate, make_authority

ACCOUNT = "yardtest"
CONTAINER = "device-files"
PROGRAM = FOLDER / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
START_S = 30.0


class Azurite:
    """Started when it is made; ``authority`` is the PEM file of who signed its certificate."""

    def __init__(self, folder: Path, host: str) -> None:
        self.key = base64.b64encode(os.urandom(64)).decode()
        self.authority = folder / "authority.pem"
        self._host, self._port = host, _free_port(host)
        command = ["node", str(PROGRAM), "--blobHost", host, "--blobPort", str(self._port), "--silent"]
        # Loose: an older SDK for Node.js names an encryption algorithm in every request, which Azure takes.
        command += ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--loose"]
        self._log = folder / "azurite.log"
        with self._log.open("w") as output:
            self._process = subprocess.Popen(
                [*command, *self._certificate(folder)],
                cwd=folder,
                env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait()

    @property
    def connection_string(self) -> str:
        """As ``hub run --storage`` and azure-storage-blob take it."""
        endpoint = f"https://{self._host}:{self._port}/{ACCOUNT}"
        return f"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={self.key};BlobEndpoint={endpoint}"

    def service(self) -> BlobServiceClient:
        """What an operator uses; it trusts what REQUESTS_CA_BUNDLE names."""
        return BlobServiceClient.from_connection_string(self.connection_string)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)

    def _certificate(self, folder: Path) -> list[str]:
        authority = make_authority()
        certificate = issue_server_certificate(authority, (), (self._host,))
        self.authority.write_bytes(authority.certificate_pem)
        files = {"--cert": (folder / "server.pem", certificate.certificate_pem)}
        files["--key"] = (folder / "server.key", certificate.private_key_pem)
        for path, pem in files.values():
            path.write_bytes(pem)
        return [text for option, (path, _) in files.items() for text in (option, str(path))]

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((self._host, self._port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(f"Azurite did not start: {self._log.read_text()[-1000:]}")


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
