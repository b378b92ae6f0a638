"""What every metric of lips promises, tested on each member of the registry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipsync.metrics.lip_base import LipMetric, LipMetricSpec, LipSeries, lip_metric_specs, measure_lips
from lipsync.registries import LIP_METRICS, METRICS
from tests.metrics.lip_observations import observe, speaking_mouth


@pytest.fixture(params=list(LIP_METRICS))
def metric(request: pytest.FixtureRequest) -> LipMetric:
    return LIP_METRICS.create(request.param)


def test_it_says_what_it_is(metric: LipMetric) -> None:
    spec = metric.spec
    assert isinstance(metric, LipMetric)
    assert isinstance(spec, LipMetricSpec)
    assert spec in lip_metric_specs()
    assert spec.title
    assert spec.what
    assert spec.paper.startswith(("arXiv ", "doi "))
    assert spec.bounds[0] <= spec.ideal <= spec.bounds[1]


def test_names_are_its_own(metric: LipMetric) -> None:
    assert metric.spec.name in LIP_METRICS
    assert metric.spec.name not in METRICS, "both are columns of one table"


@pytest.mark.parametrize("own_voice", [True, False])
def test_values_are_within_bounds(metric: LipMetric, own_voice: bool) -> None:
    random = np.random.default_rng(3)
    for seed in range(4):
        wild = LipSeries(*(random.uniform(0, 5, (4, 200)).astype(np.float32) * [[1], [99], [20], [90]]))
        value = metric.compute(observe(wild, speaking_mouth(seed), own_voice))
        assert np.isnan(value) or metric.spec.bounds[0] <= value <= metric.spec.bounds[1]


def test_the_source_itself_is_ideal_where_it_is_compared_with(metric: LipMetric) -> None:
    if metric.spec.needs_source and metric.spec.name != "source_leak":
        real = speaking_mouth()
        assert metric.compute(observe(real, real)) == pytest.approx(metric.spec.ideal, abs=1e-6)


def test_without_a_source_it_is_known_or_unknown_but_no_error(metric: LipMetric) -> None:
    observed = observe(speaking_mouth(), None)
    value = metric.compute(replace(observed, seam=np.full(200, np.nan, np.float32), closures=None))
    needs_more = metric.spec.needs_source or metric.spec.name == "closure_rate"
    assert np.isnan(value) == needs_more


def test_without_a_mouth_there_is_no_figure(metric: LipMetric) -> None:
    nothing = LipSeries(*np.full((4, 200), np.nan, np.float32))
    observed = replace(observe(nothing, nothing), seam=np.full(200, np.nan, np.float32))
    assert np.isnan(metric.compute(observed))


def test_measuring_all_leaves_out_what_is_unknown() -> None:
    values = measure_lips(observe(speaking_mouth(), None))
    assert "lip_dynamics" not in values
    assert 0 <= values["lip_leak"] <= 1
