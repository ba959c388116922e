"""The API server and the credentials: a kubeconfig, or the Pod's ServiceAccount.

``kubernetes_asyncio.config`` says where and who. What it was measured to get wrong is done here and in ``credentials``:
token files that are never read again, exec plugins that run once and whose failure leaves an anonymous client, users
that do not exist, keys left behind in temporary files.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from reconcile_runner.client.credentials import Credentials, ExecCredentials, ExecPlugin, StaticCredentials, TokenFile
from reconcile_runner.client.library import (
    ConfigException,
    Configuration,
    InClusterConfigLoader,
    load_kube_config_from_dict,
)
from reconcile_runner.client.tls import ClientTls, make_context, use_certificate
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ConfigError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts a Pod's token and the cluster's certificate authority."""

Entry = dict[str, Any]
"""One mapping of a kubeconfig."""

_PATH_FIELDS: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_SECRET_FIELDS: Final = ("client-key", "tokenFile")


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server and how to reach it.

    ``server`` has no slash at its end; ``tls`` is None for plain HTTP; ``server_name`` overrides the name that the
    server's certificate must carry; ``proxy`` is the URL of an HTTP proxy. Empty strings: none.
    """

    server: str
    tls: ClientTls | None
    credentials: Credentials
    server_name: str = ""
    proxy: str = ""


async def load_cluster(
    kubeconfig: Path | None, environ: Mapping[str, str], service_account: Path, clock: Clock
) -> Cluster:
    """Return the cluster of ``kubeconfig``, of ``KUBECONFIG``, or of this Pod.

    The first of the three that is given wins.

    Raises ``ConfigError``, one sentence that names the file, where that is not possible.
    """
    if kubeconfig is not None:
        return await _from_files((_read_file(kubeconfig),), clock)
    named = [Path(text) for text in environ.get("KUBECONFIG", "").split(os.pathsep) if text]
    if named:
        present = [path for path in named if path.exists()] or named[:1]
        return await _from_files(tuple(_read_file(path) for path in present), clock)
    if "KUBERNETES_SERVICE_HOST" not in environ:
        raise ConfigError(
            "no cluster to talk to: expected --kubeconfig or KUBECONFIG to name a file, "
            "or to run in a Pod (KUBERNETES_SERVICE_HOST is not set)"
        )
    return _from_pod(environ, service_account, clock)


def credential_files(
    kubeconfig: Path | None, environ: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT
) -> tuple[str, ...]:
    """Return the files that may hold credentials of this operator, whether they are there or not.

    The kubeconfigs that ``load_cluster`` may read, the one that clients read by default, the keys and tokens that these
    name, and the Pod's token. Raises ``ConfigError`` where a kubeconfig cannot be read.
    """
    default = Path(environ.get("HOME") or Path.home()) / ".kube" / "config"
    named = [Path(text) for text in environ.get("KUBECONFIG", "").split(os.pathsep) if text]
    read = [kubeconfig] if kubeconfig else [path for path in named if path.exists()]
    keys = [path for each in read for path in _secret_files(_read_file(each))]
    files = [*read, *named, default, service_account / "token", *keys]
    return tuple(dict.fromkeys(str(path.absolute()) for path in files))


def _secret_files(file: _File) -> Iterator[Path]:
    users = file.content.get("users")
    for entry in users if isinstance(users, list) else []:
        user = entry.get("user") if isinstance(entry, dict) else None
        for field in _SECRET_FIELDS:
            if isinstance(user, dict) and isinstance(path := user.get(field), str) and path:
                yield file.path.absolute().parent / path


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    content: Entry


def _read_file(path: Path) -> _File:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"kubeconfig {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"kubeconfig {path}: expected text, found bytes that are not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"kubeconfig {path}{where}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"kubeconfig {path}: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(
            f"kubeconfig {path}: found values that are nested too deeply, expected a kubeconfig"
        ) from error
    if not isinstance(content, dict):
        found = "an empty file" if content is None else f"a {type(content).__name__}"
        raise ConfigError(f"kubeconfig {path}: expected a mapping with clusters, contexts and users, found {found}")
    return _File(path, content)


@dataclass(frozen=True, slots=True)
class _Selected:
    """What the current context selects.

    Paths in ``cluster`` and ``user`` are absolute; ``origin`` names the file.
    """

    cluster: Entry
    user: Entry
    origin: str


def _select(files: tuple[_File, ...]) -> _Selected:
    """Return the current context's cluster and user.

    Of several files, the first that has a name wins (kubectl).
    """
    origin = (
        f"kubeconfig {files[0].path}"
        if len(files) == 1
        else f"KUBECONFIG {os.pathsep.join(str(f.path) for f in files)}"
    )
    current = next((file.content["current-context"] for file in files if file.content.get("current-context")), None)
    if current is None:
        raise ConfigError(f"{origin}: expected current-context to name a context, found none")
    context = _entry(files, "context", current, f"{origin}: current-context")
    if not context.get("cluster"):
        raise ConfigError(f"{origin}: context {current!r}: expected cluster to name a cluster, found none")
    cluster = _entry(files, "cluster", context["cluster"], f"{origin}: context {current!r}: cluster")
    if not isinstance(cluster.get("server"), str) or not cluster["server"].startswith(("https://", "http://")):
        found = f"{cluster['server']!r}" if cluster.get("server") else "nothing"
        raise ConfigError(
            f"{origin}: cluster {context['cluster']!r}: expected server to be an https:// URL, found {found}"
        )
    user = _entry(files, "user", context["user"], f"{origin}: context {current!r}: user") if context.get("user") else {}
    return _Selected(cluster, user, origin)


def _entry(files: tuple[_File, ...], kind: str, name: object, where: str) -> Entry:
    """Return a named entry of ``clusters``, ``contexts`` or ``users``.

    Its paths are absolute.
    """
    known: list[str] = []
    for file in files:
        entries = file.content.get(f"{kind}s") or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ConfigError(f"kubeconfig {file.path}: expected {kind}s to be a list of mappings")
        for entry in entries:
            if entry.get("name") != name:
                known.append(repr(entry.get("name")))
                continue
            found = entry.get(kind) or {}
            if not isinstance(found, dict):
                raise ConfigError(f"kubeconfig {file.path}: {kind} {name!r}: expected a mapping")
            return _with_absolute_paths(found, file.path.absolute().parent)
    raise ConfigError(f"{where} {name!r} is not among {kind}s (found: {', '.join(known) or 'none'})")


def _with_absolute_paths(entry: Entry, base: Path) -> Entry:
    absolute = {key: str(base / str(value)) if key in _PATH_FIELDS and value else value for key, value in entry.items()}
    plugin = entry.get("exec")
    # A command without a slash is looked up in PATH; any other is relative to the kubeconfig, as for kubectl.
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command")):
        absolute["exec"] = {**plugin, "command": str(base / str(plugin["command"]))}
    return absolute


async def _from_files(files: tuple[_File, ...], clock: Clock) -> Cluster:
    selected = _select(files)
    configuration = await _load_configuration(selected)
    if (configuration.proxy or "").startswith("socks"):
        raise ConfigError(f"{selected.origin}: proxy-url {configuration.proxy}: expected an http:// proxy")
    tls = _tls_of(selected, configuration) if configuration.host.startswith("https") else None
    return Cluster(
        server=configuration.host,
        tls=tls,
        credentials=await _credentials_of(selected, configuration, tls, clock),
        server_name=configuration.tls_server_name or "",
        proxy=configuration.proxy or "",
    )


async def _load_configuration(selected: _Selected) -> Configuration:
    """Let the library read what it reads well.

    That is: server, verification, proxy, tokens, passwords, auth providers.
    """
    own = ("exec", "tokenFile")
    reduced = {
        "current-context": "current",
        "contexts": [{"name": "current", "context": {"cluster": "current", "user": "current"}}],
        "clusters": [{"name": "current", "cluster": _without_key_data(selected.cluster)}],
        "users": [
            {
                "name": "current",
                "user": {key: value for key, value in _without_key_data(selected.user).items() if key not in own},
            }
        ],
    }
    configuration = Configuration()
    try:
        await load_kube_config_from_dict(reduced, client_configuration=configuration)
    except (ConfigException, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ConfigError(f"{selected.origin}: {error}") from error
    return configuration


def _without_key_data(entry: Entry) -> Entry:
    """Leave out what the library would copy into files.

    The path that such data overrides goes with it.
    """
    overridden = {key.removesuffix("-data") for key, value in entry.items() if key.endswith("-data") and value}
    return {key: value for key, value in entry.items() if not key.endswith("-data") and key not in overridden}


def _tls_of(selected: _Selected, configuration: Configuration) -> ClientTls:
    ca_file = [Path(configuration.ssl_ca_cert)] if configuration.ssl_ca_cert else []
    user = _without_key_data(selected.user)
    own = [Path(user[name]) for name in ("client-certificate", "client-key") if user.get(name)]
    return ClientTls(lambda: _context_of(selected, configuration), [*ca_file, *own])


def _context_of(selected: _Selected, configuration: Configuration) -> ssl.SSLContext:
    ca_pem = _decoded(selected.cluster, "certificate-authority-data", selected.origin)
    ca_file = Path(configuration.ssl_ca_cert) if configuration.ssl_ca_cert else None
    authority = f"certificate-authority {ca_file}" if ca_file else "certificate-authority-data"
    try:
        context = make_context(ca_file, ca_pem, verify=configuration.verify_ssl)
    except OSError as error:
        raise ConfigError(f"{selected.origin}: {authority}: expected a PEM certificate: {error}") from error
    certificate, key = (_pem_of(selected.user, name, selected.origin) for name in ("client-certificate", "client-key"))
    if bool(certificate) != bool(key):
        raise ConfigError(f"{selected.origin}: expected client-certificate and client-key together, found only one")
    if certificate:
        try:
            use_certificate(context, certificate, key)
        except OSError as error:
            raise ConfigError(
                f"{selected.origin}: client-certificate and client-key cannot be used: {error}"
            ) from error
    return context


def _pem_of(user: Entry, name: str, origin: str) -> str:
    data = _decoded(user, f"{name}-data", origin)
    if data or not user.get(name):
        return data
    try:
        return Path(user[name]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{origin}: {name} {user[name]}: cannot be read: {error}") from error


def _decoded(entry: Entry, field: str, origin: str) -> str:
    try:
        return base64.b64decode(entry.get(field) or "", validate=True).decode("utf-8")
    except (binascii.Error, TypeError, ValueError) as error:
        raise ConfigError(f"{origin}: {field}: expected base64 of a PEM text: {error}") from error


async def _credentials_of(
    selected: _Selected, configuration: Configuration, tls: ClientTls | None, clock: Clock
) -> Credentials:
    """Return what proves the user's identity.

    An exec plugin is preferred to a token, and a token to a file.
    """
    user = selected.user
    if user.get("exec"):
        plugin = _plugin_of(user["exec"], selected.origin)
        return ExecCredentials(plugin, await plugin.run(), clock, tls)
    header = configuration.api_key.get("BearerToken", "")
    if user.get("tokenFile") and not user.get("token"):
        return TokenFile(Path(user["tokenFile"]), clock)
    return StaticCredentials(header)


def _plugin_of(entry: object, origin: str) -> ExecPlugin:
    where = f"{origin}: exec"
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: expected a mapping with apiVersion and command")
    for field in ("apiVersion", "command"):
        if not isinstance(entry.get(field), str) or not entry[field]:
            raise ConfigError(f"{where}: expected {field} to be a text, found {entry.get(field)!r}")
    variables = entry.get("env") or []
    if not isinstance(variables, list) or not all(
        isinstance(v, dict) and {"name", "value"} <= v.keys() for v in variables
    ):
        raise ConfigError(f"{where}: expected env to be a list of name and value")
    return ExecPlugin(
        command=entry["command"],
        args=tuple(str(argument) for argument in entry.get("args") or []),
        env={str(variable["name"]): str(variable["value"]) for variable in variables},
        api_version=entry["apiVersion"],
        install_hint=" ".join(str(entry.get("installHint") or "").split()),
        origin=origin,
    )


def _from_pod(environ: Mapping[str, str], service_account: Path, clock: Clock) -> Cluster:
    token_file, ca_file = service_account / "token", service_account / "ca.crt"
    configuration = Configuration()

    def make() -> ssl.SSLContext:
        try:
            InClusterConfigLoader(str(token_file), str(ca_file), environ=environ).load_and_set(configuration)
            return make_context(ca_file, "", verify=True)
        except (ConfigException, OSError) as error:
            raise ConfigError(f"the Pod's ServiceAccount in {service_account} cannot be used: {error}") from error

    tls = ClientTls(make, [ca_file])
    return Cluster(server=configuration.host, tls=tls, credentials=TokenFile(token_file, clock))
