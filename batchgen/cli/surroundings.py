"""What the process is started into, made not to matter: the locale, or refused: names that are no text."""

from __future__ import annotations

import locale
import os
import sys
from contextlib import suppress

from batchgen.domain.errors import UsageError
from batchgen.domain.text import escaped


def leave_the_locale() -> None:
    """Have the C library compare letters as everywhere, not as the user's language does.

    Python 3.11 and 3.12 know an INSERT by that: in Turkish `I` is no capital `i`, and no row seems to be written.
    """
    for name in ("C.UTF-8", "C"):
        with suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)
            return


def check_names() -> None:
    """Make sure that every id can be a file name, and every name on the command line an entry in the books.

    Raises:
        UsageError: file names have another encoding than UTF-8 here, or an argument or the current folder is not in it.
    """
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8":
        raise UsageError(
            f"file names are in {encoding} here, in which not every id can be written; set PYTHONUTF8=1, or a UTF-8 "
            "locale such as LC_ALL=C.UTF-8, and run again"
        )
    names = list(sys.argv[1:])
    with suppress(OSError):  # the current folder may be gone; whoever needs it says so
        names.append(os.getcwd())  # noqa: PTH109 - its text alone
    for name in names:
        if not name.isascii() and name != name.encode(errors="replace").decode():
            raise UsageError(f"{escaped(name)} is not in UTF-8; rename it, then run again")
