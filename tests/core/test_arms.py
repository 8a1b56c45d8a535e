"""Arms are data: what a recipe's own may be, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mmst.core import arms
from mmst.core.arms import Arm
from mmst.core.config import identity, parse, run_id
from mmst.core.errors import ConfigError


def recipe(**own: Any) -> dict[str, Any]:
    return {"arms": own}


def test_a_recipe_names_its_own_arms_beside_the_built_in_ones() -> None:
    config = parse(recipe(half={"methods": ["text"], "per_problem": 1}) | {"loop": {"controls": ["half", "own-code"]}})
    assert arms.of(config)["half"] == Arm(methods=("text",), per_problem=1)
    assert list(arms.of(config))[:-1] == list(arms.built_in(config.methods))


def test_every_direction_and_every_single_method_is_an_arm() -> None:
    known = arms.built_in(["text", "code", "plan"])
    assert {"own-plan", "plan-to-text", "code-to-plan"} <= known.keys()
    assert known["plan-to-text"] == Arm(directions=("plan-to-text",))


def test_a_recipe_without_arms_is_what_it_was_before_there_were_any() -> None:
    assert "arms" not in identity(parse({}))
    assert run_id(parse({})) == run_id(parse({"arms": {}})) != run_id(parse(recipe(half={})))


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"mmst": {}}, r"this name is taken, got 'mmst'"),
        ({"own-text": {}}, r"this name is taken"),
        ({"base": {}}, r"this name is taken"),
        ({"a.b": {}}, r"a name must be 1 to 40 of a-z"),
        ({"Half": {}}, r"a name must be 1 to 40 of a-z"),
        ({"x" * 41: {}}, r"a name must be 1 to 40 of a-z"),
        ({"half": {"method": ["text"]}}, r"unknown recipe key 'arms.half.method'.*did you mean arms.half.methods"),
        ({"half": {"methods": ["txet"]}}, r"arms.half.methods must be of text, code, got 'txet'.*did you mean text"),
        ({"half": {"directions": ["text-to-text"]}}, r"arms.half.directions must be of text-to-code, code-to-text"),
        (
            {"half": {"writers": ["big"]}},
            r"writers names nobody .* self, got 'big'.*under `teachers`",
        ),
        ({"half": {"origins": ["own"], "directions": ["text-to-code"]}}, r"directions are of translations"),
        ({"half": {"equal_to": ["half"]}}, r"equal_to names the arm itself"),
        ({"half": {"equal_to": ["hlaf"]}}, r"equal_to must be of mmst"),
        ({"half": {"equal_to": ["equal-data"]}}, r"names an arm that is cut to 'no-translation' itself.*Remedy"),
        ({"half": {"keep": "all"}}, r"arms.half.keep must be one of passed, unverified, any"),
        ({"half": {"per_problem": -1}}, r"arms.half.per_problem must be at least 0"),
    ],
)
def test_what_cannot_be_an_arm_is_said_in_one_line(own: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        parse(recipe(**own))
    assert "\n" not in str(refused.value)


def test_two_arms_may_be_cut_to_each_other() -> None:
    parse(recipe(one={"solved_by": "one", "equal_to": ["more"]}, more={"solved_by": "several", "equal_to": ["one"]}))


def test_what_nobody_verified_is_a_control_and_never_promoted() -> None:
    own = recipe(any={"keep": "any"})
    parse(own | {"loop": {"controls": ["any"]}})
    with pytest.raises(ConfigError, match=r"nobody verified.*loop.arm=mmst --set 'loop.controls=\[any\]'"):
        parse(own | {"loop": {"arm": "any"}})
