from __future__ import annotations

import pytest

from reconcile_runner.reconciler.snakecase import keys_to_snake_case, to_snake_case

# Seen in version 1.42.3 of operator-framework/ansible-operator-plugins.
GOLDEN = {
    "clusterIP": "cluster_ip",
    "podIPs": "pod_ips",
    "IPAddress": "ip_address",
    "HTTPSPort": "http_s_port",
    "httpsPort": "https_port",
    "RIPE": "_r_ip_e",
    "Zip": "_zip",
    "JSONData": "_json_data",
    "dnsIPv4": "dns_ip_v4",
    "oauthHTTPProxyURL": "oauth_http_proxy_url",
    "URLIP": "url__ip",
    "image_URL": "image__url",
    "IPIP": "ip_ip",
    "a1b2c3": "a_1_b2c3",
    "k8s2Size": "k_8_s2_size",
    "aB": "ab",
    "foo.bar": "foo.bar",
    "URLsegressIPsEgressHTTPs": "_urls_egress_ips_egress_https",
}


@pytest.mark.parametrize(("name", "expected"), GOLDEN.items(), ids=GOLDEN)
def test_a_name_reads_as_upstream_spells_it(name: str, expected: str) -> None:
    assert to_snake_case(name) == expected


@pytest.mark.parametrize("name", ["name", "already_snake", "", "ünïcödé", "friend2"])
def test_a_name_without_capitals_stays(name: str) -> None:
    assert to_snake_case(name) == name


def test_dashes_and_spaces_become_underscores() -> None:
    assert to_snake_case("my-key") == "my_key"
    assert to_snake_case(" my key ") == "my_key"


def test_keys_are_converted_at_every_depth_and_values_are_not() -> None:
    assert keys_to_snake_case({"podIPs": [{"hostIP": "someIP"}, ["asIs"]], "theMap": {"innerKey": None}}) == {
        "pod_ips": [{"host_ip": "someIP"}, ["asIs"]],
        "the_map": {"inner_key": None},
    }


@pytest.mark.parametrize("keys", [("fooBar", "foo_bar"), ("foo_bar", "fooBar")])
def test_of_two_keys_that_become_one_the_one_written_that_way_wins(keys: tuple[str, str]) -> None:
    assert keys_to_snake_case({key: key for key in keys}) == {"foo_bar": "foo_bar"}
