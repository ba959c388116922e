"""The YAML of the pages can be read, and the tutorial's files are files that the operator takes."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import CliRunner

from reconcile_runner.cli import Programs, app
from tests.support.fakes.inspector import FakeInspector
from tests.support.paths import REPOSITORY
from tests.unit.docs.pages import pages

if TYPE_CHECKING:
    from pathlib import Path

TUTORIAL = REPOSITORY / "docs" / "tutorial.md"


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in a language, each moved to the margin."""
    found = re.findall(rf"(?ms)^ *```{language}\n(.*?)^ *```$", page.read_text())
    return [textwrap.dedent(block) for block in found]


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_yaml_can_be_read(page: Path) -> None:
    for block in blocks(page, "yaml"):
        assert list(yaml.safe_load_all(block.replace("{{", "<<").replace("}}", ">>"))), block


def test_the_watches_of_the_tutorial_are_valid_in_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "roles" / "website" / "tasks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    written = re.findall(r"(?ms)^```yaml\n(.*?)^```$", TUTORIAL.read_text())
    first = next(index for index, block in enumerate(written) if block.startswith("- group: example.com"))
    added = [
        block for block in written[first + 1 :] if block.startswith(("    website_footer_from", "  triggers", "  fin"))
    ]
    assert len(added) == 3
    for steps in range(4):
        (tmp_path / "watches.yaml").write_text(written[first] + "".join(added[:steps]))
        answer = CliRunner().invoke(app, ["validate"], obj=Programs(lambda *_: 0, FakeInspector().started))
        assert (answer.exit_code, answer.stdout) == (0, "0 errors, 0 warnings\n")
