"""How a contract or a manifest writes a proxy: an address without a password, whose place a variable takes."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

DIRECTLY = "none"
"""What is written where no proxy is meant, whatever the environment says."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = r"(?:[^\s:@/?#${}]+|\$\{[A-Za-z_][A-Za-z0-9_]*\})"
_LOGIN = rf"(?:{_NAME}(?::\$\{{[A-Za-z_][A-Za-z0-9_]*\}})?@)?"
_ADDRESS = re.compile(rf"https?://{_LOGIN}(?:[A-Za-z0-9_.-]+|\[[0-9a-fA-F:.]+\])(?::\d{{1,5}})?/?")
_EXAMPLE = "http://proxy.example:3128, or http://user:${PROXY_PASSWORD}@proxy.example:3128"


def proxy_objection(written: object) -> str:
    """Say what is wrong with the value of `proxy:`, "" for nothing. What stands there is never repeated."""
    if not isinstance(written, str):
        return f"must be an address such as {_EXAMPLE}, or none"
    if written in ("", DIRECTLY) or _VARIABLE.fullmatch(written) or _ADDRESS.fullmatch(written):
        return ""
    if _says_password(written):
        return f"holds a password, which belongs into a variable of the environment or of .env: write {_EXAMPLE}"
    if written.lower().startswith("socks"):
        return f"is a SOCKS proxy, which is not spoken here; write an http or https proxy such as {_EXAMPLE}"
    return f"must be an address such as {_EXAMPLE}, or ${{NAME}} for a variable with all of it, or none"


def proxy_variables(written: str) -> tuple[str, ...]:
    """List the variables that a proxy needs, in the order in which they stand there."""
    return tuple(_VARIABLE.findall(written))


def filled(written: str, values: dict[str, str]) -> str:
    """Put variables in: a whole address as it is, parts of one quoted as addresses quote them."""
    whole = _VARIABLE.fullmatch(written)
    if whole:
        return values[whole[1]]
    return _VARIABLE.sub(lambda found: quote(values[found[1]], safe=""), written)


def _says_password(written: str) -> bool:
    try:
        login = urlsplit(written if "://" in written else f"http://{written}").netloc.rpartition("@")[0]
    except ValueError:
        return "@" in written
    return ":" in login
