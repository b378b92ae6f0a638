"""What every metric promises, tested on each member of the registry."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lipsync.metrics.base import Metric
from lipsync.registries import METRICS
from lipsync.weights import CATALOGUE
from tests.metrics.networks import color_features, save_alexnet

Frame = npt.NDArray[np.uint8]


@pytest.fixture(scope="module", params=list(METRICS))
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Metric]:
    """Makes the metric, with a made-up network where it needs one."""
    name: str = request.param
    given: dict[str, Any] = {}
    if name == "lpips":
        pytest.importorskip("lpips")
        given = {"weights": save_alexnet(tmp_path_factory.mktemp("weights") / "alexnet.pth")}
    elif name == "fid":
        given = {"extractor": color_features}
    fresh = METRICS.create(name, **given)  # loading a network takes longer than copying it
    return lambda: copy.deepcopy(fresh)


def frames(seed: int, count: int = 6, size: tuple[int, int] = (64, 80)) -> list[Frame]:
    drawn = np.random.default_rng(seed).integers(0, 256, (count, *size, 3), np.uint8)
    return list(drawn)


def measure(metric: Metric, results: list[Frame], references: list[Frame]) -> float:
    for result, reference in zip(results, references, strict=True):
        metric.update(result, reference)
    return metric.compute()


def test_it_says_what_it_is(make: Callable[[], Metric]) -> None:
    metric = make()
    assert isinstance(metric, Metric)
    assert metric.spec.name in METRICS
    assert metric.spec.title
    assert not metric.spec.weights or metric.spec.weights in CATALOGUE


def test_equal_pictures_are_perfect(make: Callable[[], Metric]) -> None:
    metric = make()
    assert measure(metric, frames(1), frames(1)) == pytest.approx(metric.spec.perfect, abs=1e-5)


def test_worse_pictures_measure_worse(make: Callable[[], Metric]) -> None:
    clean = [np.full((64, 80, 3), 40 * n, np.uint8) for n in range(1, 6)]
    noise = np.random.default_rng(2).normal(size=(5, 64, 80, 3))

    def spoiled(much: float) -> list[Frame]:
        return [np.clip(a + much * b, 0, 255).astype(np.uint8) for a, b in zip(clean, noise, strict=True)]

    little, much = measure(make(), spoiled(5), clean), measure(make(), spoiled(60), clean)
    assert (little > much) == make().spec.higher_is_better
    assert little != much


def test_before_the_first_pair_there_is_no_figure(make: Callable[[], Metric]) -> None:
    assert np.isnan(make().compute())


def test_frames_are_left_as_they_were(make: Callable[[], Metric]) -> None:
    results, references = frames(1), frames(2)
    measure(make(), results, references)
    assert all((a == b).all() for a, b in zip([*results, *references], [*frames(1), *frames(2)], strict=True))


def test_regions(make: Callable[[], Metric]) -> None:
    """Only pixels in the region count; metrics of whole frames refuse a region."""
    [one], where = frames(1, 1), np.zeros((64, 80), bool)
    where[:, :40] = True
    other = one.copy()
    other[:, 40:] = 0
    metric = make()
    if not metric.spec.regional:
        with pytest.raises(ValueError, match="whole frames only"):
            metric.update(one, other, where)
        return
    metric.update(one, other, where)
    assert metric.compute() == metric.spec.perfect
    metric.update(one, other, ~where)
    assert metric.compute() != metric.spec.perfect


def test_a_region_without_pixels_gives_no_figure(make: Callable[[], Metric]) -> None:
    metric = make()
    if not metric.spec.regional:
        return
    [one] = frames(1, 1)
    metric.update(one, one, np.zeros((64, 80), bool))
    assert np.isnan(metric.compute())


def test_frames_that_do_not_fit_are_refused(make: Callable[[], Metric]) -> None:
    [one], [other] = frames(1, 1), frames(1, 1, (60, 80))
    with pytest.raises(ValueError, match="of one size"):
        make().update(one, other)
