"""Which API server, and as whom: kubeconfigs good and bad, and the Pod's ServiceAccount."""

from __future__ import annotations

import base64
import datetime as dt
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reconcile_runner.client.config import Cluster, credential_files, load_cluster
from reconcile_runner.client.credentials import ExecCredentials, StaticCredentials, TokenFile
from reconcile_runner.errors import ConfigError
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.projected import Projected
from tests.support.programs import SHELL

SERVER = "https://127.0.0.1:6443"


@dataclass(frozen=True)
class Pem:
    """A self-signed certificate without a key usage extension, and its key."""

    certificate: str
    key: str


@pytest.fixture(scope="module")
def pem() -> Pem:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pem(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config(
    cluster: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
    current: str = "here",
    **changes: Any,
) -> dict[str, Any]:
    whole = {
        "current-context": current,
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "u", "user": dict(user or {})}],
    }
    return {**whole, **changes}


def written(path: Path, content: Mapping[str, Any] | str) -> Path:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(dict(content)))
    return path


async def load(
    kubeconfig: Path | None, environ: Mapping[str, str] | None = None, account: Path = Path("/x")
) -> Cluster:
    return await load_cluster(kubeconfig, environ or {}, account, FakeClock())


async def loaded(tmp_path: Path, content: Mapping[str, Any] | str) -> Cluster:
    return await load(written(tmp_path / "config", content))


async def test_a_token_and_an_authority_given_inline(tmp_path: Path, pem: Pem) -> None:
    cluster = await loaded(
        tmp_path, config({"certificate-authority-data": encoded(pem.certificate)}, {"token": "secret"})
    )
    assert cluster.server == SERVER
    assert await cluster.credentials.authorization() == "Bearer secret"
    assert cluster.tls is not None
    assert cluster.tls.context().cert_store_stats()["x509_ca"] == 1
    assert cluster.tls.context().verify_mode is ssl.CERT_REQUIRED


async def test_an_authority_without_key_usage_is_not_rejected_for_that(tmp_path: Path) -> None:
    cluster = await loaded(tmp_path, config())
    assert cluster.tls is not None
    assert not cluster.tls.context().verify_flags & ssl.VERIFY_X509_STRICT


async def test_files_are_relative_to_the_kubeconfig(tmp_path: Path, pem: Pem) -> None:
    (tmp_path / "pki").mkdir()
    written(tmp_path / "pki/ca.crt", pem.certificate)
    written(tmp_path / "pki/user.crt", pem.certificate)
    written(tmp_path / "pki/user.key", pem.key)
    cluster = await loaded(
        tmp_path,
        config(
            {"certificate-authority": "pki/ca.crt"},
            {"client-certificate": "pki/user.crt", "client-key": "pki/user.key"},
        ),
    )
    assert cluster.tls is not None
    assert cluster.tls.context().cert_store_stats()["x509_ca"] == 1
    assert await cluster.credentials.authorization() == ""


@pytest.mark.parametrize("name", ["ca.crt", "user.crt"])
async def test_files_that_are_renewed_are_read_again(name: str, tmp_path: Path, pem: Pem) -> None:
    for file in ("ca.crt", "user.crt"):
        written(tmp_path / file, pem.certificate)
    written(tmp_path / "user.key", pem.key)
    cluster = await loaded(
        tmp_path,
        config({"certificate-authority": "ca.crt"}, {"client-certificate": "user.crt", "client-key": "user.key"}),
    )
    assert cluster.tls is not None
    before = cluster.tls.context()
    assert cluster.tls.context() is before
    written(tmp_path / f"{name}.new", pem.certificate).replace(tmp_path / name)
    assert cluster.tls.context() is not before


async def test_a_client_certificate_given_inline_leaves_no_key_behind(
    tmp_path: Path, pem: Pem, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    user = {"client-certificate-data": encoded(pem.certificate), "client-key-data": encoded(pem.key)}
    for _ in range(2):
        await loaded(tmp_path, config({"certificate-authority-data": encoded(pem.certificate)}, user))
    assert list(scratch.iterdir()) == []


async def test_the_other_settings_of_a_cluster(tmp_path: Path) -> None:
    settings = {"insecure-skip-tls-verify": True, "tls-server-name": "kube", "proxy-url": "http://proxy:3128"}
    cluster = await loaded(tmp_path, config(settings))
    assert (cluster.server_name, cluster.proxy) == ("kube", "http://proxy:3128")
    assert cluster.tls is not None
    assert cluster.tls.context().verify_mode is ssl.CERT_NONE


async def test_plain_http_has_no_tls_and_a_server_may_have_a_path(tmp_path: Path) -> None:
    assert (await loaded(tmp_path, config({"server": "http://127.0.0.1:8001"}))).tls is None
    assert (await loaded(tmp_path, config({"server": SERVER + "/k8s/c-1/"}))).server == SERVER + "/k8s/c-1"


async def test_a_user_name_and_password(tmp_path: Path) -> None:
    cluster = await loaded(tmp_path, config(user={"username": "me", "password": "pass"}))
    assert await cluster.credentials.authorization() == f"Basic {encoded('me:pass')}"


async def test_a_context_without_a_user_is_anonymous(tmp_path: Path) -> None:
    cluster = await loaded(tmp_path, config(contexts=[{"name": "here", "context": {"cluster": "c"}}]))
    assert await cluster.credentials.authorization() == ""


async def test_a_token_file_is_followed_and_a_token_goes_before_it(tmp_path: Path) -> None:
    written(tmp_path / "token", "one\n")
    cluster = await loaded(tmp_path, config(user={"tokenFile": "token"}))
    assert isinstance(cluster.credentials, TokenFile)
    assert await cluster.credentials.authorization() == "Bearer one"
    cluster = await loaded(tmp_path, config(user={"tokenFile": "token", "token": "fixed"}))
    assert isinstance(cluster.credentials, StaticCredentials)
    assert await cluster.credentials.authorization() == "Bearer fixed"


def exec_entry(command: str) -> dict[str, Any]:
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": SHELL,
            "args": ["-c", command],
            "env": [{"name": "MARK", "value": "set"}],
        }
    }


async def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    answer = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}'
    cluster = await loaded(tmp_path, config(user=exec_entry(f"echo '{answer}'")))
    assert isinstance(cluster.credentials, ExecCredentials)
    assert await cluster.credentials.authorization() == "Bearer t"


async def test_an_exec_plugin_named_by_a_relative_path_lies_beside_the_kubeconfig(tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}}
    with pytest.raises(ConfigError, match=f"exec plugin '{tmp_path}/plugin' cannot be started: No such file"):
        await loaded(tmp_path, config(user=user))


async def test_an_exec_plugin_that_fails_makes_start_impossible(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config: exec plugin '/bin/sh' failed with exit code 2: log in first"):
        await loaded(tmp_path, config(user=exec_entry("echo log in first >&2; exit 2")))


INVALID: dict[str, tuple[Mapping[str, Any] | str, str]] = {
    "empty": ("", "expected a mapping with clusters, contexts and users, found an empty file"),
    "list": ("[1]", "expected a mapping .*, found a list"),
    "not YAML": ("a: [1\nb: 2", "line 2, column 2: not YAML: "),
    "control character": ("a: \x07", "not YAML: "),
    "no current-context": (config(current=""), "expected current-context to name a context, found none"),
    "unknown context": (
        config(current="there"),
        r"current-context 'there' is not among contexts \(found: 'here'\)",
    ),
    "no contexts": (config(contexts=None), r"'here' is not among contexts \(found: none\)"),
    "contexts as a mapping": (config(contexts={"here": {}}), "expected contexts to be a list of mappings"),
    "context as text": (config(contexts=[{"name": "here", "context": "x"}]), "context 'here': expected a mapping"),
    "context without cluster": (
        config(contexts=[{"name": "here", "context": {"user": "u"}}]),
        "context 'here': expected cluster to name a cluster, found none",
    ),
    "unknown cluster": (config(clusters=[]), r"cluster 'c' is not among clusters \(found: none\)"),
    "unknown user": (config(users=[{"name": "v", "user": {}}]), r"user 'u' is not among users \(found: 'v'\)"),
    "no server": (config({"server": ""}), "cluster 'c': expected server to be an https:// URL, found nothing"),
    "server without scheme": (config({"server": "host:6443"}), "to be an https:// URL, found 'host:6443'"),
    "missing authority": (config({"certificate-authority": "ca.crt"}), "ca.crt"),
    "authority not base64": (
        config({"certificate-authority-data": "%%"}),
        "certificate-authority-data: expected base64 of a PEM text",
    ),
    "authority not PEM": (
        config({"certificate-authority-data": encoded("text")}),
        "certificate-authority-data: expected a PEM certificate",
    ),
    "key without certificate": (
        config(user={"client-key-data": encoded("text")}),
        "expected client-certificate and client-key together, found only one",
    ),
    "certificate not PEM": (
        config(user={"client-certificate-data": encoded("a"), "client-key-data": encoded("b")}),
        "client-certificate and client-key cannot be used",
    ),
    "missing token file": (config(user={"tokenFile": "token"}), "token file .*: expected a token"),
    "exec as text": (config(user={"exec": "login"}), "exec: expected a mapping with apiVersion and command"),
    "exec without command": (config(user={"exec": {"apiVersion": "v1"}}), "exec: expected command to be a text"),
    "exec env as mapping": (
        config(user={"exec": {"apiVersion": "v1", "command": "x", "env": {"a": "b"}}}),
        "exec: expected env to be a list of name and value",
    ),
    "socks proxy": (config({"proxy-url": "socks5://proxy:1080"}), "proxy-url socks5://.*: expected an http:// proxy"),
}


@pytest.mark.parametrize(("content", "message"), INVALID.values(), ids=INVALID.keys())
async def test_an_invalid_kubeconfig_is_one_sentence_that_names_the_file(
    tmp_path: Path, content: Mapping[str, Any] | str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        await loaded(tmp_path, content)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_kubeconfig_that_is_missing_or_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"kubeconfig {tmp_path}/none: No such file or directory"):
        await load(tmp_path / "none")
    with pytest.raises(ConfigError, match=f"kubeconfig {tmp_path}: Is a directory"):
        await load(tmp_path)


async def test_the_flag_goes_before_the_environment_and_that_before_the_pod(tmp_path: Path) -> None:
    flag = written(tmp_path / "flag", config({"server": "https://flag"}))
    named = written(tmp_path / "env", config({"server": "https://env"}))
    environ = {"KUBECONFIG": str(named), "KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert (await load(flag, environ)).server == "https://flag"
    assert (await load(None, environ)).server == "https://env"


async def test_of_several_files_the_first_that_has_a_name_wins_and_missing_ones_are_skipped(tmp_path: Path) -> None:
    first = written(tmp_path / "first", {"current-context": "here", "users": config()["users"]})
    second = written(tmp_path / "second", config({"server": "https://second"}, current="other"))
    third = written(tmp_path / "third", config({"server": "https://third"}))
    environ = {"KUBECONFIG": f"{tmp_path}/none:{first}:{second}:{third}"}
    assert (await load(None, environ)).server == "https://second"
    with pytest.raises(ConfigError, match=f"kubeconfig {tmp_path}/none: No such file"):
        await load(None, {"KUBECONFIG": f"{tmp_path}/none:{tmp_path}/neither"})


async def test_no_kubeconfig_and_no_pod() -> None:
    with pytest.raises(ConfigError, match="expected --kubeconfig or KUBECONFIG to name a file, or to run in a Pod"):
        await load(None)


async def test_in_a_pod_the_service_account_says_who(tmp_path: Path, pem: Pem) -> None:
    written(tmp_path / "token", "one\n")
    written(tmp_path / "ca.crt", pem.certificate)
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    cluster = await load(None, environ, tmp_path)
    assert cluster.server == "https://[fd00::1]:443"
    assert await cluster.credentials.authorization() == "Bearer one"
    written(tmp_path / "token", "two\n")
    assert await cluster.credentials.renew("Bearer one")


async def test_in_a_pod_a_new_token_and_a_new_authority_are_followed(tmp_path: Path, pem: Pem) -> None:
    volume = Projected(tmp_path)
    volume.write(token="one", ca_crt=pem.certificate)
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    cluster = await load(None, environ, tmp_path)
    assert cluster.tls is not None
    before = cluster.tls.context()
    assert cluster.tls.context() is before
    volume.write(token="two", ca_crt=pem.certificate)
    assert await cluster.credentials.authorization() == "Bearer two"
    assert cluster.tls.context() is not before


@pytest.mark.parametrize("missing", ["token", "ca.crt"])
async def test_in_a_pod_without_a_mounted_service_account(tmp_path: Path, pem: Pem, missing: str) -> None:
    written(tmp_path / "token", "one")
    written(tmp_path / "ca.crt", pem.certificate)
    written(tmp_path / missing, "")
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(ConfigError, match=f"the Pod's ServiceAccount in {tmp_path} cannot be used"):
        await load(None, environ, tmp_path)


def test_credentials_are_in_kubeconfigs_in_what_they_name_and_in_the_pods_token(tmp_path: Path) -> None:
    user = {"client-key": "keys/one", "tokenFile": str(tmp_path / "two"), "client-certificate": "public"}
    given = written(tmp_path / "config", config(user=user))
    environ = {"HOME": "/home/me", "KUBECONFIG": "/not/there"}
    assert set(credential_files(given, environ, Path("/account"))) == {
        str(given),
        "/not/there",
        "/home/me/.kube/config",
        "/account/token",
        str(tmp_path / "keys" / "one"),
        str(tmp_path / "two"),
    }


def test_without_a_flag_the_files_of_the_variable_are_read_for_credentials(tmp_path: Path) -> None:
    first = written(tmp_path / "one", config(user={"tokenFile": "token"}))
    environ = {"HOME": "/home/me", "KUBECONFIG": f"{first}:/not/there"}
    assert str(tmp_path / "token") in credential_files(None, environ, Path("/account"))
    assert {str(first), "/not/there"} <= set(credential_files(None, environ, Path("/account")))


@pytest.mark.parametrize("users", [None, "text", ["text"], [{"user": "text"}], [{"user": {"client-key": 1}}]])
def test_what_is_no_list_of_users_names_no_credentials(tmp_path: Path, users: object) -> None:
    given = written(tmp_path / "config", config(users=users))
    files = credential_files(given, {"HOME": "/home/me"}, Path("/account"))
    assert files == (str(given), "/home/me/.kube/config", "/account/token")
