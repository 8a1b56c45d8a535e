"""Amounts of a resource."""

import pytest

from mmst.core.config import parse
from mmst.core.errors import ConfigError
from mmst.core.quantities import quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("500m", 0.5), ("2Gi", 2 * 1024**3), ("1.5G", 1.5e9), ("1e3", 1000), ("64Ki", 65536), ("0", 0)],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str, number: float) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "Gi", "1gi", "1 Gi", "many", "1e", "1.2.3", ".", "١Gi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no amount of a resource, got "):
        quantity(text)


@pytest.mark.parametrize("key", ["checker_cpu", "trainer_memory", "server_cpu"])
def test_a_recipe_s_amounts_are_checked_before_anything_runs(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"cluster\.{key} is no amount of a resource, got '2 GB'. Remedy"):
        parse({"cluster": {key: "2 GB"}})
