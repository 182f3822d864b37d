"""The address of an image, as a gateway writes it: perhaps relative, perhaps with characters that no request may have.

A signed address must be asked for byte for byte as it was given, so nothing is quoted anew that is legal as it stands.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urljoin, urlsplit

from yarl import URL

_ILLEGAL = re.compile(r"[^\x21-\x7e]+")  # in a line of a request: blanks, and what is not ASCII
_HOST = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*)")


def absolute(address: str, called: str) -> str:
    """Resolve an address against the one that was called; an absolute one stays as it is.

    >>> absolute("/files/a%2Fb.png", "https://gateway.example/v1/images/generations")
    'https://gateway.example/files/a%2Fb.png'
    """
    try:
        return address if urlsplit(address).scheme else urljoin(called, address)
    except ValueError:
        return address


def as_given(address: str) -> URL:
    """Make a URL that is requested as it was given, but for characters that no request may have.

    >>> str(as_given("https://x.example/a b/杯.png?sig=a%2Fb+c"))
    'https://x.example/a%20b/%E6%9D%AF.png?sig=a%2Fb+c'

    Raises:
        ValueError: it is no address.
    """
    found = _HOST.match(address)
    if found is None or address.isascii():
        return URL(_legal(address), encoded=True)
    host = URL(found[0]).raw_authority  # names of other scripts as the name service knows them
    return URL(f"{found[1]}{host}{_legal(address[found.end() :])}", encoded=True)


def _legal(text: str) -> str:
    return _ILLEGAL.sub(lambda run: quote(run[0]), text)
