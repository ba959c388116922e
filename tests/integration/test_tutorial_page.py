"""The operator of docs/tutorial.md, made of the files that the page shows, does what the page says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from reconcile_devcluster import crds
from tests.support.operator_process import REPOSITORY, Kube, eventually, operator

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile_devcluster.cluster import Cluster

pytestmark = pytest.mark.timeout(180)

PAGE = (REPOSITORY / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE)
NAMESPACE = "tutorial-page"
WEBSITES = f"/apis/example.com/v1/namespaces/{NAMESPACE}/websites"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


def shown(*parts: str) -> str:
    """Return the one block that has all these texts."""
    [block] = [block for block in BLOCKS if all(part in block for part in parts)]
    return str(block)


def write_operator(directory: Path) -> None:
    """Write the files of the page's last step."""
    role = directory / "roles" / "website"
    files = {
        directory / "crds" / "websites.yaml": shown("kind: CustomResourceDefinition"),
        role / "defaults" / "main.yml": shown('website_footer_from: ""') + "website_state: present\n",
        role / "tasks" / "main.yml": shown("include_tasks"),
        role / "tasks" / "present.yml": shown("- name: Read the footer") + "\n" + shown("- name: List it in"),
        role / "tasks" / "absent.yml": shown("- name: Take it off"),
        directory / "watches.yaml": shown("- group: example.com")
        + shown("    website_footer_from: ")
        + shown("  triggers:")
        + shown("  finalizer:"),
    }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_the_operator_of_the_tutorial(cluster: Cluster, tmp_path: Path) -> None:
    write_operator(tmp_path)
    crds.install(cluster.api, tmp_path / "crds")
    kube = Kube(cluster.api)
    kube.create_namespace(NAMESPACE)
    call = cluster.api.call

    def data(name: str) -> dict[str, Any]:
        path = f"{CONFIG_MAPS}/{name}"
        return call("GET", path).get("data", {}) if kube.exists(path) else {}

    def config_map(name: str, **content: str) -> None:
        call("POST", CONFIG_MAPS, {"metadata": {"name": name}, "data": content})

    def footer_found() -> bool:
        return bool(call("GET", f"{WEBSITES}/blog")["status"]["footerFound"])

    config_map("sitemap")
    flags = ("--ansible-roles-path", str(tmp_path / "roles"))
    env = {"WATCH_NAMESPACE": NAMESPACE, "ANSIBLE_GATHERING": "explicit"}
    with operator(cluster.kubeconfig, tmp_path / "watches.yaml", flags=flags, env=env):
        spec = {"title": "Notes from <us>", "footerFrom": "imprint"}
        body = {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": "blog"}, "spec": spec}
        call("POST", WEBSITES, body)
        page = "<h1>Notes from &lt;us&gt;</h1>"
        eventually(lambda: data("sitemap") == {"blog": "Notes from <us>"}, "the entry in the site map")
        assert data("website-blog") == {"index.html": page}
        assert not footer_found()

        config_map("imprint", footer="Written by Jane")
        eventually(footer_found, "the footer, by the trigger")
        assert data("website-blog") == {"index.html": f"{page}Written by Jane"}

        call("DELETE", f"{CONFIG_MAPS}/website-blog")
        eventually(lambda: data("website-blog") != {}, "the page, put back as a dependent")

        call("DELETE", f"{WEBSITES}/blog")
        eventually(lambda: not kube.exists(f"{WEBSITES}/blog"), "the end of the Website, by its finalizer")
        assert data("sitemap") == {}
