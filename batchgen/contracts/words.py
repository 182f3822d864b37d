"""What gateways say when they do not deliver: rows of codes and phrases, each with its meaning and its source."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from batchgen.contracts.strict_yaml import Section, read_yaml

_DATA = Path(__file__).parent / "data"
_ROW = ("means", "code", "text", "lang", "source")


class Meaning(StrEnum):
    """What a gateway wants to say; in the order in which one wins over another that the same error also names.

    A limit of money is often dressed up as too many calls, a missing channel as a missing model, and nearly everything
    as a server error or a wrong request: what can be said of fewer errors is the truer word.
    """

    QUOTA = "quota"  # no money, or a limit of spending: only a person can lift it
    CONTENT = "content"  # what is asked for was refused
    GROUP = "group"  # the key may not have this model
    KEY = "key"  # the key, its account or its place is not accepted
    NO_CHANNEL = "no_channel"  # the gateway has nobody behind it who would do this now
    MODEL = "model"  # there is no such model, or no such address
    THROTTLED = "throttled"  # too many calls of ours
    BUSY = "busy"  # too many calls of everybody's
    PARAMETER = "parameter"  # what is asked is wrong, and is as wrong the next time
    SERVER = "server"  # something broke there


@dataclass(frozen=True, slots=True)
class Word:
    """One row of the table.

    Attributes:
        code: the whole of an error's code or type, lower case; "" in a row with a `text`.
        text: a phrase of an error's message or of a reply's words, lower case, with single blanks; "" beside a `code`.
        language: of the text, as `en` or `zh`; "" where it is not said.
        source: where the words were read.
    """

    means: Meaning
    code: str = ""
    text: str = ""
    language: str = ""
    source: str = ""

    @property
    def cause(self) -> str:
        """The stable name of what was said, such as `quota:insufficient_user_quota`."""
        return f"{self.means}:{self.code or self.text}"


def read_words(rows: list[Section]) -> tuple[Word, ...]:
    """The rows of a file, in its order.

    Raises:
        ContractError: a row names an unknown meaning or key, or has not exactly one of `code` and `text`.
    """
    return tuple(_word(row) for row in rows)


def _word(row: Section) -> Word:
    row.known(_ROW)
    if ("code" in row.data) == ("text" in row.data):
        raise row.fail("", "must have a `code` or a `text`, and not both")
    return Word(
        means=Meaning(row.choice("means", tuple(Meaning))),
        code=row.text("code", r"\S+", "a code without blanks").lower() if "code" in row.data else "",
        text=plain(row.text("text", r"(?s:.*\S.*)", "some words")) if "text" in row.data else "",
        language=row.text("lang"),
        source=row.text("source"),
    )


def plain(said: str) -> str:
    """A text as it is compared: lower case, each run of blanks one blank."""
    return " ".join(said.lower().split())


@cache
def common_words() -> tuple[Word, ...]:
    """The table that holds for every route; read when the first error comes."""
    table = Section(read_yaml(_DATA / "words.yaml"), "words.yaml")
    table.known(("sources", "words"))
    return read_words(table.rows("words"))
