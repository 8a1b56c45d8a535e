"""ASDiv (Miao et al. 2020): XML.

    <Problem ID="nluds-0001" Grade="1" Source="http://www.k5learning.com">
      <Body>Seven red apples and two green apples are in the basket.</Body>
      <Question>How many apples are in the basket?</Question>
      <Solution-Type>Addition</Solution-Type>
      <Answer>9 (apples)</Answer>
      <Formula>7+2=9</Formula>
    </Problem>

The unit in brackets is left out of the gold answer; several answers ("5; 6") stay a text. A
formula that is one equation of plain arithmetic becomes the solutions.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from mmst.errors import DataError
from mmst.problems import make_problem
from mmst.problems.equations import solutions
from mmst.problems.reading import Row, text_of
from mmst.records import Problem


def read(path: Path) -> Iterator[Problem]:
    """The problems of `ASDiv.xml`."""
    text = text_of(path)
    if "<!ENTITY" in text:
        raise DataError(f"{path} defines XML entities", remedy="the published file has none; get it again")
    try:
        root = ET.fromstring(text.encode())
    except ET.ParseError as e:
        raise DataError(f"{path}, line {e.position[0]}: not XML ({e})", remedy="is the file whole?") from None
    for element in root.iter("Problem"):
        yield _problem(_row(path, text, element))


def _row(path: Path, text: str, element: ET.Element) -> Row:
    id = element.get("ID", "")
    at = text.find(f'ID="{id}"') if id else -1
    line = f"line {text.count(chr(10), 0, at) + 1}, " if at >= 0 else ""
    fields = {child.tag: (child.text or "").strip() for child in element}
    return Row(f"{path}, {line}problem {id or '(without ID)'}", fields)


def _problem(row: Row) -> Problem:
    gold = "; ".join(re.sub(r"\s*\([^)]*\)", "", part).strip() for part in row.text("Answer").split(";"))
    if not gold.strip("; "):
        row.fail("Answer", "holds no answer outside its brackets", "write it as: 9 (apples)")
    formula, _, _ = row.text("Formula", "").partition("=")
    return make_problem(
        f"{row.text('Body')} {row.text('Question')}",
        gold,
        "asdiv",
        family=row.text("Solution-Type", ""),
        solutions=solutions(formula, gold),
    )
