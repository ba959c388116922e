"""Tokens that others rotate, and plugins that print them."""

from __future__ import annotations

import asyncio
import os
import stat
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from reconcile_runner.client.credentials import ExecCredentials, ExecPlugin, StaticCredentials, TokenFile
from reconcile_runner.errors import ConfigError
from tests.support.fakes.clock import FakeClock
from tests.support.programs import SHELL, printing

API_VERSION = "client.authentication.k8s.io/v1"


def replace(path: Path, content: str) -> None:
    """Rotate as the kubelet does: another file takes the place of the old one."""
    new = path.with_suffix(".new")
    new.write_text(content)
    new.replace(path)


def empty(path: Path, content: str | None) -> None:
    """Leave the file without a token, or leave none at all."""
    path.unlink() if content is None else path.write_text(content)


def rewrite_unnoticed(path: Path, content: str) -> None:
    """Write the file in place and give it its old modification time back."""
    before = path.stat()
    path.write_text(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


async def test_static_credentials_stay_as_they_are_and_are_not_printed() -> None:
    credentials = StaticCredentials("Bearer secret")
    assert await credentials.authorization() == "Bearer secret"
    assert not await credentials.renew("Bearer secret")
    assert "secret" not in repr(credentials)


class TestTokenFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "token"
        path.write_text("one\n")
        return path

    async def test_a_trailing_newline_is_no_part_of_the_token(self, path: Path) -> None:
        assert await TokenFile(path, FakeClock()).authorization() == "Bearer one"

    async def test_a_rotated_file_is_read_at_the_next_request(self, path: Path) -> None:
        credentials = TokenFile(path, FakeClock())
        replace(path, "two")
        assert await credentials.authorization() == "Bearer two"

    async def test_a_change_that_the_modification_time_hides_is_seen_after_a_minute(self, path: Path) -> None:
        clock = FakeClock()
        credentials = TokenFile(path, clock)
        rewrite_unnoticed(path, "two")
        await clock.advance(59.0)
        assert await credentials.authorization() == "Bearer one"
        await clock.advance(1.0)
        assert await credentials.authorization() == "Bearer two"

    async def test_a_change_that_the_modification_time_hides_is_seen_at_once_after_a_refusal(self, path: Path) -> None:
        credentials = TokenFile(path, FakeClock())
        assert not await credentials.renew("Bearer one")
        rewrite_unnoticed(path, "two")
        assert await credentials.renew("Bearer one")
        assert await credentials.authorization() == "Bearer two"

    @pytest.mark.parametrize("content", ["", "  \n", None], ids=["empty", "blank", "missing"])
    async def test_a_file_that_holds_nothing_at_the_moment_keeps_the_last_token(
        self, path: Path, content: str | None
    ) -> None:
        clock = FakeClock()
        credentials = TokenFile(path, clock)
        empty(path, content)
        assert await credentials.authorization() == "Bearer one"
        await clock.advance(61.0)
        assert await credentials.authorization() == "Bearer one"
        assert not await credentials.renew("Bearer one")
        replace(path, "two")
        assert await credentials.authorization() == "Bearer two"

    def test_a_file_without_a_token_at_the_start_is_an_error(self, path: Path) -> None:
        path.write_text("")
        with pytest.raises(ConfigError, match=f"token file {path}: expected a token"):
            TokenFile(path, FakeClock())


class Plugin:
    """A real plugin: a shell script that counts its runs and prints what the test put into a file."""

    def __init__(self, directory: Path) -> None:
        self.script = directory / "plugin"
        self.answer = directory / "answer"
        self.runs_file = directory / "runs"
        self.script.write_text(
            f'#!{SHELL}\necho "$KUBERNETES_EXEC_INFO" >> {self.runs_file}\n{printing(self.answer)}\n'
        )
        self.script.chmod(self.script.stat().st_mode | stat.S_IXUSR)

    def prints(self, **status: str) -> None:
        self.prints_text(orjson.dumps({"apiVersion": API_VERSION, "kind": "ExecCredential", "status": status}).decode())

    def prints_text(self, text: str) -> None:
        self.answer.write_text(text)

    @property
    def runs(self) -> list[str]:
        return self.runs_file.read_text().splitlines() if self.runs_file.exists() else []

    @property
    def spec(self) -> ExecPlugin:
        return ExecPlugin(str(self.script), (), {}, API_VERSION, "", "kubeconfig /k")


class TestExecPlugin:
    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Plugin:
        return Plugin(tmp_path)

    async def made(self, plugin: Plugin, clock: FakeClock) -> ExecCredentials:
        return ExecCredentials(plugin.spec, await plugin.spec.run(), clock, None)

    async def test_its_token_is_used_and_it_is_told_what_is_expected_of_it(self, plugin: Plugin) -> None:
        plugin.prints(token="one")
        credentials = await self.made(plugin, FakeClock())
        assert await credentials.authorization() == "Bearer one"
        assert [orjson.loads(run)["apiVersion"] for run in plugin.runs] == [API_VERSION]

    async def test_it_runs_again_shortly_before_its_token_expires(self, plugin: Plugin) -> None:
        clock = FakeClock()
        plugin.prints(token="one", expirationTimestamp=(clock.now() + timedelta(minutes=10)).isoformat())
        credentials = await self.made(plugin, clock)
        plugin.prints(token="two")
        await clock.advance(569.0)
        assert await credentials.authorization() == "Bearer one"
        await clock.advance(2.0)
        answers = await asyncio.gather(*(credentials.authorization() for _ in range(5)))
        assert answers == ["Bearer two"] * 5
        assert len(plugin.runs) == 2

    async def test_it_runs_again_after_a_refusal_but_not_for_each_of_many(self, plugin: Plugin) -> None:
        clock = FakeClock()
        plugin.prints(token="one")
        credentials = await self.made(plugin, clock)
        plugin.prints(token="two")
        assert await asyncio.gather(*(credentials.renew("Bearer one") for _ in range(5))) == [True] * 5
        assert len(plugin.runs) == 2
        assert not await credentials.renew("Bearer two"), "the server refuses whatever the plugin gives"
        assert len(plugin.runs) == 2
        await clock.advance(10.0)
        await credentials.renew("Bearer two")
        assert len(plugin.runs) == 3

    async def test_a_later_failure_is_logged_and_keeps_the_last_token(self, plugin: Plugin) -> None:
        plugin.prints(token="one")
        credentials = await self.made(plugin, FakeClock())
        plugin.prints_text("not JSON")
        with capture_logs() as logs:
            assert not await credentials.renew("Bearer one")
        assert await credentials.authorization() == "Bearer one"
        assert [line["event"] for line in logs] == ["credential plugin failed, using the previous credentials"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "something else than an ExecCredential"),
            ("[]", "something else than an ExecCredential"),
            ('{"apiVersion": "v2", "status": {"token": "a"}}', "answered with v2, expected client"),
            (f'{{"apiVersion": "{API_VERSION}", "status": {{}}}}', "neither a token nor a client certificate"),
            (f'{{"apiVersion": "{API_VERSION}", "status": "text"}}', "neither a token nor a client certificate"),
        ],
        ids=["nothing", "a list", "another version", "no credential", "a text as status"],
    )
    async def test_what_it_prints_is_checked(self, plugin: Plugin, text: str, message: str) -> None:
        plugin.prints_text(text)
        with pytest.raises(ConfigError, match=message) as caught:
            await plugin.spec.run()
        assert str(caught.value).startswith(f"kubeconfig /k: exec plugin '{plugin.script}'")

    async def test_an_exit_code_is_reported_with_what_it_said(self) -> None:
        spec = ExecPlugin(SHELL, ("-c", "echo no login >&2; exit 3"), {}, API_VERSION, "", "kubeconfig /k")
        with pytest.raises(ConfigError, match="exec plugin '/bin/sh' failed with exit code 3: no login"):
            await spec.run()

    async def test_a_plugin_that_is_not_there_is_reported_with_its_hint(self, tmp_path: Path) -> None:
        spec = ExecPlugin(str(tmp_path / "none"), (), {}, API_VERSION, "Install it from there.", "kubeconfig /k")
        with pytest.raises(
            ConfigError, match=r"cannot be started: No such file or directory\. Install it from there\."
        ):
            await spec.run()

    async def test_its_environment_is_the_kubeconfigs(self) -> None:
        answer = f'{{"apiVersion": "{API_VERSION}", "status": {{"token": "\'$MARK\'"}}}}'
        spec = ExecPlugin(SHELL, ("-c", f"echo '{answer}'"), {"MARK": "set"}, API_VERSION, "", "kubeconfig /k")
        assert await spec.run() == {"token": "set"}
