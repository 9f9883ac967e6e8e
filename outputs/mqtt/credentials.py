"""User name, password and TLS, from files and the environment, read anew at each connection.

A password is never in the settings, so it can be in no log, no report and no `status`.
"""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from gateway.model import GatewayError
from outputs.mqtt.settings import Settings, TlsSettings


def password(settings: Settings, environment: Mapping[str, str] = os.environ) -> str | None:
    """None = there is none.  Raises GatewayError that names the key and what would be right."""
    if settings.password_environment is not None:
        if settings.password_environment not in environment:
            raise GatewayError(
                f"password_environment: {settings.password_environment} is not set; a service sets it with Environment="
            )
        return environment[settings.password_environment]
    if settings.password_file is None:
        return None
    return _first_line(settings.password_file)


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            line = file.readline(1000).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise GatewayError(f"password_file: {path}: cannot be read ({_why(problem)})") from None
    if not line:
        raise GatewayError(f"password_file: {path}: its first line is empty, expected the password")
    return line


def tls(settings: TlsSettings | None) -> ssl.SSLContext | None:
    """Verifies the broker.  None = plain text.  Raises GatewayError for files that cannot be used."""
    if settings is None:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as problem:
        raise GatewayError(f"tls.ca_file: {settings.ca_file}: cannot be used ({_why(problem)})") from None
    if settings.certificate_file is not None:
        try:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
        except (OSError, ssl.SSLError) as problem:
            raise GatewayError(
                f"tls.certificate_file: {settings.certificate_file}: cannot be used ({_why(problem)})"
            ) from None
    return context


def _why(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
