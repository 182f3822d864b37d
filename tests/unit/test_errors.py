from __future__ import annotations

import re

from batchgen.domain import errors

_MEMBER = re.compile(r"^([│├└─ ]*)([A-Z]\w+) +(\d+)  \S", re.MULTILINE)


def test_family_is_drawn_as_it_is() -> None:
    """The docstring of the module shows each error below its parent, with its exit code."""
    drawn: list[tuple[str, str, int]] = []
    above: dict[int, str] = {}
    for lead, name, code in _MEMBER.findall(errors.__doc__ or ""):
        depth = len(lead) // 4
        above[depth] = name
        drawn.append((above.get(depth - 1, "Exception"), name, int(code)))
    family = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert sorted(drawn) == sorted((each.__base__.__name__, each.__name__, int(each.exit_code)) for each in family)
