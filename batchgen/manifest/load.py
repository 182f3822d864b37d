"""Reads a manifest: bytes, tree, keys, values; every problem at once, before anything is bought."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from batchgen.contracts.catalog import Catalog
from batchgen.contracts.contract import Contract, Objection
from batchgen.contracts.tokens import PerCall
from batchgen.domain.job import JobSpec, Parameters
from batchgen.domain.names import safe_segment
from batchgen.files.text_lines import open_file
from batchgen.manifest.entries import Manifest
from batchgen.manifest.fallbacks import read_fallbacks, read_four_k
from batchgen.manifest.guard import MAX_BYTES, read_tree
from batchgen.manifest.problems import Problems
from batchgen.manifest.reading import Loc, Reading
from batchgen.manifest.route import check_parameters, check_timeout, read_limits, resolve_route
from batchgen.manifest.rows import CatalogFile
from batchgen.manifest.sources import Sources
from batchgen.manifest.survey import survey
from batchgen.manifest.terms import read_terms
from batchgen.manifest.validate import validate

PLAN_VERSION = 1  # raised whenever the same files would expand to other prompts, so that nobody skips a comparison


def load_manifest(path: Path, catalog: Catalog) -> Manifest:
    """Reads a manifest and looks at its catalogs, without keeping any of their rows.

    Raises:
        ManifestError: with every problem at once; when there is one, those of the rows are in it too.
    """
    problems = Problems()
    with open_file(path, str(path)) as file:
        data = file.read(MAX_BYTES + 1)
    root = read_tree(data, str(path), problems)
    checked = validate(root, str(path), problems)
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - links stay as written
    return _manifest(Reading(str(path), folder, root, checked, problems), catalog, data)


def _manifest(reading: Reading, catalog: Catalog, data: bytes) -> Manifest:
    keys = reading.checked.keys
    contract = resolve_route(reading, catalog)
    parameters = Parameters(keys.quality or None, keys.background or None, keys.output.format)
    said = _check_job(reading, contract, parameters)
    sources = Sources(reading, contract, parameters, said)
    sources.read_all()
    limits = read_limits(reading, contract, sources.asked)
    output = _output(reading)
    entries, variants, variant_sets = tuple(sources.entries), sources.variants, sources.variant_sets
    if contract is None or len(reading.problems):
        survey(entries, variants, variant_sets, reading.problems)
        raise reading.problems.error()
    most_inputs = max((len(entry.inputs.templates) for entry in entries if entry.inputs is not None), default=0)
    check_timeout(reading, catalog, sources.asked, most_inputs)
    four_k = read_four_k(reading, contract, [variant.size for variant in variants])
    fallbacks = read_fallbacks(reading, contract, catalog, sources.asked, four_k, [entry.inputs for entry in entries])
    terms = read_terms(reading)
    if len(reading.problems):
        raise reading.problems.error()
    prices = [contract.price, *(other.contract.price for other in fallbacks)]
    job = JobSpec(
        name=keys.name,
        route=contract.route,
        model=contract.model,
        manifest=reading.folder / Path(reading.file).name,
        output=output,
        parameters=parameters,
        limits=limits,
        four_k=four_k,
        source_hash=_source_hash(data, sources.catalogs.values(), contract),
        fallback=tuple(other.contract.route for other in fallbacks if not other.rescue),
        fallback_on_refusal=keys.fallback_on_refusal,
        priced_by_text=not all(isinstance(price, PerCall) for price in prices),
    )
    warnings = tuple(reading.warnings)
    return Manifest(
        reading.file, contract, keys.route, fallbacks, job, entries, variants, variant_sets, warnings, terms
    )


def _check_job(reading: Reading, contract: Contract | None, parameters: Parameters) -> set[Objection]:
    """What is wrong or doubtful about the parameters of the whole job."""
    if contract is None:
        return set()
    at: dict[str, Loc] = {"format": ("output", "format"), "quality": ("quality",), "background": ("background",)}
    return check_parameters(reading, contract, parameters, at)


def _output(reading: Reading) -> Path:
    """The output folder, absolute."""
    folder = reading.checked.keys.output.folder
    if "{{" in folder or folder.startswith("~"):
        reading.wrong(("output", "folder"), "is taken as it is written, without variables or ~; write the folder out")
    below = Path(folder) if folder else Path("out", safe_segment(reading.checked.keys.name))
    output = Path(os.path.abspath(reading.folder / below))  # noqa: PTH100 - links stay as written
    if any(ord(each) < ord(" ") for each in folder):
        reading.wrong(("output", "folder"), "holds a control character; name another folder")
    elif os.path.isfile(output):  # noqa: PTH113 - no name is too long for it
        reading.wrong(("output", "folder"), "is a file; name a folder")
    return output


def _source_hash(data: bytes, catalogs: Iterable[CatalogFile | None], contract: Contract) -> str:
    parts = [str(PLAN_VERSION), hashlib.sha256(data).hexdigest(), contract.digest]
    parts += [catalog.digest for catalog in catalogs if catalog is not None]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
