"""What buying a difference would cost and take, over all routes of its manifest."""

from __future__ import annotations

from dataclasses import replace

from batchgen.domain.job import Difference, JobSpec
from batchgen.manifest.manifest import Manifest
from batchgen.report.forecast import Forecast, forecast


def forecast_of(manifest: Manifest, spec: JobSpec, difference: Difference) -> Forecast:
    """Say what a run would cost and take that buys what is missing now."""
    others = [other.contract for other in manifest.fallbacks if not other.rescue]
    rescue = next((other.contract for other in manifest.fallbacks if other.rescue), None)
    limits, form = spec.limits, spec.parameters.format
    return forecast(difference.buy, difference.texts, manifest.contract, limits, form, others, rescue=rescue)


def forecast_again(manifest: Manifest, spec: JobSpec, difference: Difference) -> Forecast:
    """Say the same of those that have an image already."""
    return forecast_of(manifest, spec, replace(difference, buy=difference.again))
