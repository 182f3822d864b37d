"""Contract files: YAML read the plain way, with decimals as they are written and no surprises from YAML 1.1."""

from __future__ import annotations

import re
from collections.abc import Hashable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from batchgen.domain.errors import ContractError

if TYPE_CHECKING:
    from yaml import SafeLoader as _Base
else:
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_LARGEST = 1_000_000  # bytes


class _Loader(_Base):
    """Safe, and stricter: a key stands once, `16:9` is text, `0.03` is exactly that, a date stays as written."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        twice = next((key for key, _ in node.value if keys.count(key.value) > 1), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(problem=f"the key {twice.value} stands twice", problem_mark=twice.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:null|~|)\Z"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?(?:0|[1-9]\d*)\Z"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"-?\d+\.\d+\Z"), list("-0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: Decimal(node.value))


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping a contract file holds.

    Raises:
        ContractError: the file cannot be read, is no YAML, or holds no mapping with plain keys.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ContractError(f"{path}: larger than {_LARGEST:,} bytes; that is no contract file")
        data: object = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - built on the safe loader
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ContractError(f"{path}{line}: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ContractError(f"{path}: not readable as YAML: {reason}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ContractError(f"{path}: must hold keys such as provider, checked, source, base_url and contracts")
    return data
