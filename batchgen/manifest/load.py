"""Reads a manifest: bytes, tree, keys, values; every problem at once, before anything is bought."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from batchgen.contracts.catalog import Catalog
from batchgen.contracts.contract import Contract, Objection
from batchgen.contracts.tokens import PerCall
from batchgen.domain.job import FourK, JobSpec, Limits, Parameters
from batchgen.domain.names import safe_segment
from batchgen.manifest.catalogs.catalog_file import CatalogFile
from batchgen.manifest.document.document import Document, read_document
from batchgen.manifest.document.validate import Loc
from batchgen.manifest.fallbacks import FallbackRoute, read_fallbacks, read_four_k
from batchgen.manifest.manifest import Manifest
from batchgen.manifest.prompts.source_reader import SourceReader
from batchgen.manifest.route import check_parameters, check_timeout, read_limits, resolve_route
from batchgen.manifest.survey.risky_terms import read_risky_terms
from batchgen.manifest.survey.survey import survey

PLAN_VERSION = 1  # raised whenever the same files would expand to other prompts, so that nobody skips a comparison


def load_manifest(path: Path, catalog: Catalog) -> Manifest:
    """Read a manifest and look at its catalogs, without keeping any of their rows.

    Raises:
        ManifestError: with every problem at once; when there is one, those of the rows are in it too.
    """
    document = read_document(path)
    keys = document.keys
    contract = resolve_route(document, catalog)
    parameters = Parameters(keys.quality or None, keys.background or None, keys.output.format)
    said = _check_job(document, contract, parameters)
    reader = SourceReader(document, contract, parameters, said)
    reader.read_all()
    limits = read_limits(document, contract, reader.asked)
    output = _output(document)
    sources = tuple(reader.sources)
    inputs = [source.inputs for source in sources]
    if contract is not None:
        check_timeout(document, catalog, reader.asked, max((len(each.templates) for each in inputs if each), default=0))
    four_k = read_four_k(document, contract, [variant.size for variant in reader.variants])
    fallbacks = read_fallbacks(document, contract, catalog, reader.asked, four_k, inputs)
    terms = read_risky_terms(document)
    if contract is None or len(document.problems):
        survey(sources, reader.variants, reader.variant_sets, document.problems)
        raise document.problems.error()
    job = _job_spec(document, contract, reader, fallbacks, limits, four_k)
    return Manifest(
        shown=document.file,
        contract=contract,
        route=keys.route,
        fallbacks=fallbacks,
        job=replace(job, output=output),
        sources=sources,
        variants=reader.variants,
        variant_sets=reader.variant_sets,
        warnings=tuple(document.warnings),
        risky_terms=terms,
    )


def _job_spec(
    document: Document,
    contract: Contract,
    reader: SourceReader,
    fallbacks: Sequence[FallbackRoute],
    limits: Limits,
    four_k: FourK,
) -> JobSpec:
    """Make the job of what is right, but for its output folder."""
    keys = document.keys
    prices = [contract.price, *(other.contract.price for other in fallbacks)]
    return JobSpec(
        name=keys.name,
        route=contract.route,
        model=contract.model,
        manifest=document.folder / Path(document.file).name,
        output=document.folder,
        parameters=reader.parameters,
        limits=limits,
        four_k=four_k,
        source_hash=_source_hash(document.digest, reader.catalogs.values(), contract),
        fallback=tuple(other.contract.route for other in fallbacks if not other.rescue),
        fallback_on_refusal=keys.fallback_on_refusal,
        images_from=contract.images_from,
        priced_by_text=not all(isinstance(price, PerCall) for price in prices),
    )


def _check_job(document: Document, contract: Contract | None, parameters: Parameters) -> set[Objection]:
    """Note what is wrong or doubtful about the parameters of the whole job, and return these objections."""
    if contract is None:
        return set()
    at: dict[str, Loc] = {"format": ("output", "format"), "quality": ("quality",), "background": ("background",)}
    return check_parameters(document, contract, parameters, at)


def _output(document: Document) -> Path:
    """Read the output folder, and make it absolute."""
    folder = document.keys.output.folder
    if "{{" in folder or folder.startswith("~"):
        document.wrong(("output", "folder"), "is taken as it is written, without variables or ~; write the folder out")
    below = Path(folder) if folder else Path("out", safe_segment(document.keys.name))
    output = Path(os.path.abspath(document.folder / below))  # noqa: PTH100 - links stay as written
    if any(ord(each) < ord(" ") for each in folder):
        document.wrong(("output", "folder"), "holds a control character; name another folder")
    elif os.path.isfile(output):  # noqa: PTH113 - no name is too long for it
        document.wrong(("output", "folder"), "is a file; name a folder")
    return output


def _source_hash(digest: str, catalogs: Iterable[CatalogFile | None], contract: Contract) -> str:
    parts = [str(PLAN_VERSION), digest, contract.digest]
    parts += [catalog.digest for catalog in catalogs if catalog is not None]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
