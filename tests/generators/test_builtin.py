"""The built-in model: adapter, log-mel, outline rendering, renderer, and its file."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from lipsync.errors import WeightsError
from lipsync.generators.base import LipGenerator
from lipsync.generators.builtin import log_mel, mouth_interior, mouth_outline
from lipsync.generators.builtin.adapter import (
    PERSON_NOTE,
    Builtin,
    load_builtin,
    load_locator,
    overlapping_pieces,
    prepare_for_inference,
    speech_gate,
)
from lipsync.generators.builtin.composition import MovedCrop, compose_crops, restore_detail
from lipsync.generators.builtin.layers import UnshuffledConv
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig
from lipsync.generators.builtin.renderer import Outlines, Renderer, blurred, warp
from lipsync.generators.builtin.resampling import Region, region_grid, sample, to_region, window_region
from lipsync.media import open_audio, open_video
from lipsync.progress import CancelToken
from lipsync.training.tasks.export import export_network
from lipsync.types import AudioClip, TimeRange
from lipsync.utils.onednn_conv import PackedConv, can_pack

SAMPLE_VOICE = Path(__file__).resolve().parents[2] / "lipsync" / "samples" / "voice.mp3"
SAMPLE_VIDEO = SAMPLE_VOICE.with_name("talk.mp4")
SHIPPED = Path(__file__).resolve().parents[2] / "weights" / "builtin.safetensors"


def small_network(mouth_widths: tuple[int, int, int] | None = None) -> BuiltinNetwork:
    torch.manual_seed(0)
    config = NetworkConfig(voice_width=16, widths=(8, 8, 8, 8), mouth_widths=mouth_widths)
    network = BuiltinNetwork(config)
    torch.nn.init.normal_(network.components, std=0.02)
    last = network.place.head[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():  # an untrained net must still answer with a mouth that lies in the window
        last.weight.mul_(0.02)
        last.bias.copy_(torch.cat([ring().flatten(), ring().flatten(), torch.eye(2, 3).flatten() * 0.3]))
    return network


def ring() -> torch.Tensor:
    """49 points of a mouth at its usual place, in sides of the crop."""
    turn = torch.arange(20) / 20 * 2 * torch.pi
    lips = torch.stack([-turn.cos(), turn.sin() * 0.5], dim=1)
    chin = torch.stack([torch.linspace(-1, 1, 9), torch.full((9,), 1.2)], dim=1)
    return torch.cat([lips, lips * 0.7, chin]) * 0.17 + torch.tensor([0.5, 0.72])


def voice(seconds: float, level: float = 0.2) -> AudioClip:
    """Noise in syllables, four a second."""
    clock = np.arange(int(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(1).normal(size=len(clock))
    return AudioClip((noise * level * np.sin(np.pi * 4 * clock) ** 2).astype(np.float32))


def faces(count: int, side: int = 128) -> np.ndarray:
    rng = np.random.default_rng(2)
    return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def generator() -> Builtin:
    return Builtin(small_network(), device="cpu", number_format="fp32")


def test_is_a_lip_generator_with_the_promised_shapes(generator: Builtin) -> None:
    assert isinstance(generator, LipGenerator)
    rows = generator.encode_audio(voice(1.0), 25, 30)
    assert rows.shape == (30, 10) and rows.dtype == np.float32
    crops = [faces(1)[0], faces(1, 200)[0], faces(1, 301)[0, :, :240]]
    drawn = generator.generate(crops, rows[:3])
    assert [mouth.shape for mouth in drawn] == [(3, 128, 128), (3, 200, 200), (3, 301, 240)]
    assert all(mouth.dtype == np.float32 and 0 <= mouth.min() <= mouth.max() <= 1 for mouth in drawn)


def test_a_frame_does_not_depend_on_its_batch(generator: Builtin) -> None:
    rows = generator.encode_audio(voice(1.0), 25, 5)
    together = generator.generate(faces(5), rows)
    alone = np.concatenate([generator.generate(faces(5)[i : i + 1], rows[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_mouths_do_not_depend_on_the_number_of_threads() -> None:
    """A run that is resumed, or shared, with other cores gives the same frames."""
    shipped, threads, mouths = (
        Builtin(SHIPPED, device="cpu", number_format="fp32"),
        torch.get_num_threads(),
        [],
    )
    crops, rows = faces(4, 150), np.linspace(-1, 1, 4 * 10, dtype=np.float32).reshape(4, 10)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            mouths.append(shipped.generate(crops, rows))
    finally:
        torch.set_num_threads(threads)
    for other in mouths[1:]:
        assert all(np.array_equal(*pair) for pair in zip(mouths[0], other, strict=True))


def test_only_mouth_and_chin_change(generator: Builtin) -> None:
    crops = faces(2)
    drawn = np.stack(generator.generate(crops, np.ones((2, 10), np.float32)))
    source = crops.transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_allclose(drawn[:, :, :48], source[:, :, :48], atol=1e-6)
    assert np.abs(drawn - source)[:, :, 80:110, 40:90].mean() > 0.01


def test_the_mouth_rests_in_silence_and_after_the_audio(generator: Builtin) -> None:
    silent = generator.encode_audio(AudioClip(np.zeros(16_000, np.float32)), 25, 25)
    hiss = np.random.default_rng(0).normal(0, 1e-4, 16_000).astype(np.float32)
    assert np.all(silent == 0)
    assert np.all(generator.encode_audio(AudioClip(hiss), 25, 25) == 0)
    spoken = generator.encode_audio(voice(1.0), 25, 60)
    assert np.abs(spoken[5:20]).max() > 0 and np.all(spoken[30:] == 0)
    assert generator.encode_audio(AudioClip(np.zeros(0, np.float32)), 25, 4).shape == (4, 10)


def test_rows_follow_time_not_the_frame_rate(generator: Builtin) -> None:
    sound = voice(2.0)
    slow, fast = generator.encode_audio(sound, 25, 40), generator.encode_audio(sound, 50, 80)
    np.testing.assert_allclose(slow, fast[::2], atol=1e-5)
    later = generator.encode_audio(sound, 25, 40, lead=3)
    np.testing.assert_allclose(later[3:], slow[:-3], atol=1e-5)


def test_long_audio_in_pieces_equals_the_whole(generator: Builtin) -> None:
    sound = voice(65.0)
    mel = torch.from_numpy(log_mel.log_mel(sound.samples))[None]
    whole = generator.audio2shape(mel)[0].numpy().T * generator.gain
    np.testing.assert_allclose(generator._predict_shapes(sound.samples, CancelToken()), whole, atol=1e-4)


@pytest.mark.parametrize("total", [1, 40, 41, 100, 133])
@pytest.mark.parametrize("sizes", [(1,), (7, 30), (200,), (40, 0, 3)])
def test_pieces_of_parts_are_those_of_the_whole(total: int, sizes: tuple[int, ...]) -> None:
    whole = np.arange(2 * total, dtype=np.float32).reshape(2, total)
    edges = np.minimum(np.cumsum([0, *sizes * total]), total)
    parts = [whole[:, first:last] for first, last in pairwise(edges)]
    found = [*overlapping_pieces(parts, 40, 6)]
    expected = [(max(0, start - 6), start, start + 46) for start in range(0, total, 40)]
    assert [before for before, _ in found] == [start - first for first, start, _ in expected]
    for (_, columns), (first, _, last) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(columns, whole[:, first:last])


def test_the_level_of_a_recording_does_not_matter() -> None:
    loud, quiet = log_mel.log_mel(voice(1.0, 0.2).samples), log_mel.log_mel(voice(1.0, 0.02).samples)
    np.testing.assert_allclose(loud, quiet, atol=0.01)
    assert np.all(log_mel.log_mel(np.zeros(1600, np.float32)) == log_mel.SILENCE)
    assert speech_gate(voice(1.0).samples).max() == pytest.approx(1.0)


def test_a_few_words_in_a_long_silence_are_encoded_as_alone() -> None:
    spoken = voice(2.0).samples
    long = np.concatenate([np.zeros(16_000 * 70, np.float32), spoken, np.zeros(16_000 * 20, np.float32)])
    alone, among = log_mel.log_mel(spoken), log_mel.log_mel(long)[:, 7000:7201]
    assert np.abs(alone - among)[:, 10:190].mean() < 0.25
    assert speech_gate(long)[3520:3580].min() > 0.9 and speech_gate(long)[:3400].max() == 0


def test_a_tone_is_in_its_mel_band() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    loudest = log_mel.log_mel(tone)[:, 50].argmax()
    assert 25 <= loudest <= 31  # 1000 Hz is 1000 mel of 104..2800 in 80 bands
    assert log_mel.loudness(tone)[50] == pytest.approx(-3, abs=0.2)


def test_contours_and_interior_are_rendered_at_the_points() -> None:
    points = ring()[None] * 128 - torch.tensor([8.0, 48.0])
    lines = mouth_outline.render_contours(points, 80, 112)
    filled = mouth_outline.render_interior(points, 80, 112)
    corner = points[0, mouth_outline.LEFT_CORNER].round().long()
    assert lines[0, 0, corner[1], corner[0]] > 0.5 and lines[0, 0, 5, 5] < 1e-3
    middle = points[0, mouth_outline.INNER].mean(0).round().long()
    assert filled[0, 0, middle[1], middle[0]] == pytest.approx(1.0, abs=0.25)
    closed = points.clone()
    closed[:, mouth_outline.INNER, 1] = middle[1].float()
    assert mouth_outline.render_interior(closed, 80, 112).max() < 1e-3


def test_the_dense_flow_follows_the_points() -> None:
    points = ring()[None] * 128 - torch.tensor([8.0, 48.0])
    flow = mouth_outline.dense_flow(points, points + torch.tensor([3.0, -2.0]), 80, 112)
    x, y = points[0, 5].round().long().tolist()
    assert flow[0, :, y, x].tolist() == pytest.approx([3.0, -2.0], abs=0.5)
    assert flow[0, :, 2, 2].abs().max() < 0.1
    picture = torch.rand(1, 3, 80, 112)
    torch.testing.assert_close(warp(picture, torch.zeros(1, 2, 80, 112)), picture, atol=1e-4, rtol=0)
    shifted = warp(picture, torch.ones(1, 2, 80, 112))
    torch.testing.assert_close(shifted[..., :-1, :-1], picture[..., 1:, 1:], atol=1e-4, rtol=0)


def test_the_renderer_never_sees_the_masked_mouth() -> None:
    torch.manual_seed(0)
    painter = Renderer((8, 8, 8, 8)).eval()
    points = ring()[None] * 128 - torch.tensor([8.0, 48.0])
    window, reference = torch.rand(1, 3, 80, 112), torch.rand(1, 3, 80, 112)
    outlines = Outlines(points, points, points)
    maps = painter(window, reference, outlines)
    hidden = (maps.mask == 1).float()
    other = painter(window * (1 - hidden), reference, outlines)
    torch.testing.assert_close(maps.rendered, other.rendered, atol=1e-5, rtol=0)


def test_export_and_load_are_the_same_network(tmp_path: Path) -> None:
    path = tmp_path / "builtin.safetensors"
    network = small_network().eval()
    assert export_network(network, path) == path.stat().st_size < 25_000_000
    again = load_builtin(path).eval()
    assert again.config == network.config
    crops, shapes = torch.rand(1, 3, 128, 128), torch.randn(1, 10)
    torch.testing.assert_close(again(crops, shapes), network(crops, shapes), atol=0.02, rtol=0)


def test_the_locator_is_loaded_alone() -> None:
    """Score cards need it, and not the speech encoder, which is ten times as large."""
    locator, config = load_locator(SHIPPED)
    network = load_builtin(SHIPPED)
    assert config == network.config
    assert_equal_states(locator, network.place)


def assert_equal_states(one: nn.Module, other: nn.Module) -> None:
    states = one.state_dict(), other.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("load", [load_builtin, load_locator])
def test_a_wrong_file_is_refused(tmp_path: Path, load: Callable[[Path], object]) -> None:
    path = tmp_path / "builtin.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(WeightsError):
        load(path)


def test_the_shipped_model_moves_its_mouth_with_the_audio() -> None:
    assert SHIPPED.stat().st_size <= 25_000_000
    network = load_builtin(SHIPPED)
    opening = network.components.view(-1, 49, 3)
    opening_of = (opening[:, mouth_outline.LOWER_INNER] - opening[:, mouth_outline.UPPER_INNER]).numpy()[:, 1]
    generator = Builtin(network, device="cpu")
    spoken = open_audio(SAMPLE_VOICE, (TimeRange(0, 3),)).read(16_000)
    rows = generator.encode_audio(spoken, 25, 100)
    assert np.all(rows[90:] == 0)
    speaking = (rows[10:70] @ opening_of).std()
    assert speaking > 0.02  # of the distance between the eyes
    noise = generator.encode_audio(voice(3.0), 25, 75)  # noise in bursts is no speech
    assert (noise[10:70] @ opening_of).std() < speaking / 3


def test_an_opening_mouth_gets_dark_below_its_upper_teeth() -> None:
    closed = ring()[None] * 128 - torch.tensor([8.0, 48.0])
    closed[:, mouth_outline.INNER, 1] = closed[:, mouth_outline.INNER, 1].mean()
    opened = ring()[None] * 128 - torch.tensor([8.0, 48.0])
    grey, mask = torch.full((1, 3, 80, 112), 0.5), torch.ones(1, 1, 80, 112)
    theirs, shade = torch.full((1, 3, 80, 112), 0.9), torch.tensor([0.4, 0.6])

    def finish(was: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        halves = mouth_outline.render_interior_halves(target, 80, 112)
        gaps = mouth_interior.inner_lip_gap(was), mouth_interior.inner_lip_gap(target)
        return mouth_interior.refine_interior(grey, theirs, mask, halves, gaps, shade)

    middle = opened[0, mouth_outline.INNER].mean(0).round().long()
    upper, lower = (finish(closed, opened)[0, :, middle[1] + by, middle[0]].mean() for by in (-4, 4))
    assert upper > 0.5 > lower + 0.2
    torch.testing.assert_close(finish(closed, closed), grey)
    kept = finish(opened, opened)[0, :, middle[1] + 4, middle[0]].mean()
    assert 0.8 < kept <= 0.9  # what the source shows itself is taken from there


def test_nothing_in_a_mouth_is_bluer_than_white() -> None:
    skin = torch.tensor([0.8, 0.7, 0.6]).view(1, 3, 1, 1)
    lilac, rose = torch.tensor([0.6, 0.5, 0.6]), torch.tensor([0.7, 0.5, 0.45])
    drawn = torch.stack([lilac, rose], dim=1)[None, :, None]
    mended = mouth_interior.limit_blue(drawn, skin)
    assert mended[0, 2, 0, 0] == pytest.approx(0.5 * 0.6 / 0.7 * 1.12)
    torch.testing.assert_close(mended[..., 1], drawn[..., 1])


def test_nothing_painted_in_a_mouth_is_greener_than_white() -> None:
    skin = torch.tensor([0.8, 0.6, 0.5]).view(1, 3, 1, 1)
    olive, tooth = torch.tensor([0.5, 0.6, 0.3]), torch.tensor([0.8, 0.74, 0.7])
    limited = mouth_interior.limit_green(torch.stack([olive, tooth], dim=1)[None, :, None], skin)
    light = ((0.5 + 0.6 + 0.3) / (0.8 + 0.6 + 0.5) - 0.7) / 0.3
    assert limited[0, 1, 0, 0] == pytest.approx(0.5 * 0.6 / 0.8 * (1 + 0.25 * light))
    torch.testing.assert_close(limited[0, :, 0, 1], tooth)


def test_a_shadow_in_a_mouth_has_at_most_the_hue_of_skin() -> None:
    skin = torch.tensor([0.8, 0.6, 0.5]).view(1, 3, 1, 1)
    grey = torch.tensor([0.3, 0.3, 0.3]).view(1, 3, 1, 1)
    limited = mouth_interior.limit_green(grey, skin)
    assert limited[0, 1, 0, 0] == pytest.approx(0.3 * 0.6 / 0.8)


def test_what_is_lighter_than_skin_is_a_tooth_and_not_pink() -> None:
    skin = torch.tensor([0.7, 0.4, 0.43]).view(1, 3, 1, 1)
    pink, lip = torch.tensor([1.0, 0.5, 0.54]), torch.tensor([0.6, 0.3, 0.33])
    limited = mouth_interior.limit_pink(torch.stack([pink, lip], dim=1)[None, :, None], skin)
    assert limited[0, 1, 0, 0] == pytest.approx(1.1 * 0.4 / 0.7)
    assert limited[0, 2, 0, 0] / limited[0, 1, 0, 0] == pytest.approx(0.54 / 0.5)
    torch.testing.assert_close(limited[0, :, 0, 1], lip)


def test_teeth_are_not_lilac_in_pink_light() -> None:
    skin = torch.tensor([0.7, 0.4, 0.43]).view(1, 3, 1, 1)
    lilac = torch.tensor([0.9, 0.7, 0.9]).view(1, 3, 1, 1)
    mended = mouth_interior.limit_blue(lilac, skin)
    assert mended[0, 2, 0, 0] == pytest.approx(0.7 * 0.43 / 0.4)
    nothing = torch.zeros(1, 1, 1, 1)
    halves = torch.zeros(1, 2, 1, 2)
    image = torch.cat([lilac, skin], dim=3)
    mask = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    first = mouth_interior.refine_interior(image, image, mask, halves, (nothing, nothing), torch.zeros(2))
    assert first[0, 2, 0, 0] == pytest.approx(0.7 * 1.12 * 0.43 / 0.4), "the first generation draws as before"


@pytest.mark.parametrize("skin", [[0.5, 0.5, 0.5], [0.4, 0.5, 0.55]])
def test_teeth_are_grey_in_grey_films_and_no_greener_than_blue_light(skin: list[float]) -> None:
    color = torch.tensor(skin).view(1, 3, 1, 1)
    tooth = color * 0.9 / color.max()
    torch.testing.assert_close(mouth_interior.limit_colors(tooth, color), tooth)


def test_the_brightness_of_teeth_that_was_measured_on_a_person_is_kept(tmp_path: Path) -> None:
    network = small_network((4, 4, 4))
    network.painter.usual_tone.copy_(torch.tensor([1.1, 0.4]))
    for notes, told in (({}, 0.9), ({PERSON_NOTE: "3 steps"}, 1.1)):
        export_network(network, tmp_path / "file.safetensors", notes)
        loaded = load_builtin(tmp_path / "file.safetensors").painter.usual_tone
        torch.testing.assert_close(loaded, torch.tensor([told, 0.4]), atol=1e-3, rtol=0)


def test_what_is_painted_covers_a_mouth_that_is_pulled_apart() -> None:
    def of(*gaps: float) -> list[float]:
        pair = [torch.tensor([gap]).view(1, 1, 1, 1) for gap in gaps]
        return [mouth_interior.hidden_share(*pair).item(), mouth_interior.least_choice(*pair).item()]

    assert of(0.0, 6.0) == pytest.approx([1.0, 0.7])
    assert of(3.0, 6.0) == pytest.approx([1.0, 0.0])
    assert of(6.0, 6.0) == of(6.0, 3.0) == [0.0, 0.0]
    assert of(0.0, 1.0)[1] == 0  # lips that hardly part


def test_a_mouth_that_opens_shows_teeth_and_the_dark_below_them() -> None:
    [frame] = open_video(SAMPLE_VIDEO).read([0])
    crop = np.ascontiguousarray(frame[59:183, 181:273])  # lips that hardly part
    network = load_builtin(SHIPPED)
    lips = network.components.view(-1, 49, 3).numpy()[..., 1]
    opening = lips[:, mouth_outline.LOWER_INNER] - lips[:, mouth_outline.UPPER_INNER]
    shape = 0.2 * opening / np.square(opening).sum()  # 0.2 distances of the eyes
    [mouth] = Builtin(network, device="cpu", number_format="fp32").generate(
        [crop], shape[None].astype(np.float32)
    )
    rows = mouth.mean(0)[84:109, 41:52].mean(axis=1)  # lightness from the upper lip to the chin
    assert rows[4:8].max() - rows[8:12].min() > 0.3
    assert rows[4:8].max() > rows[2] + 0.1


def test_nothing_painted_in_a_mouth_is_olive() -> None:
    skin = torch.tensor([0.5, 0.39, 0.36]).view(1, 3, 1, 1)
    olive, yellow = torch.tensor([0.43, 0.44, 0.32]), torch.tensor([0.6, 0.56, 0.5])
    limited = mouth_interior.limit_olive(torch.stack([olive, yellow], dim=1)[None, :, None], skin)
    assert limited[0, 1, 0, 0] == pytest.approx(1.02 * (0.43 + 0.32) / 2)
    torch.testing.assert_close(limited[0, :, 0, 1], yellow)
    torch.testing.assert_close(limited[0, ::2, 0, 0], olive[::2])


def test_maps_of_outlines_hold_no_subnormal_numbers() -> None:
    points = ring()[None] * 128 - torch.tensor([8.0, 48.0])
    maps = [
        mouth_outline.render_contours(points, 80, 112),
        mouth_outline.render_interior_halves(points, 80, 112),
        mouth_outline.render_inner_lips(points, 80, 112),
        mouth_outline.dense_flow(points, points + 1, 80, 112),
    ]
    smallest = torch.finfo(torch.float32).tiny
    assert all(not ((found != 0) & (found.abs() < smallest)).any() for found in maps)


def test_the_tone_of_a_mouth_does_not_depend_on_the_light() -> None:
    points = ring()[None] * 128 - torch.tensor([8.0, 48.0])
    halves = mouth_outline.render_interior_halves(points, 80, 112).clamp(0, 1)
    picture = 0.8 * (1 - halves[:, :1] * 0.5 - halves[:, 1:] * 0.75).expand(-1, 3, -1, -1)
    mask = mouth_outline.inpainting_mask(points, 80, 112)
    drawn = mouth_outline.render_interior_halves(points, 80, 112)
    bright, dim = (mouth_interior.interior_tone(picture * light, drawn, mask) for light in (1.0, 0.5))
    torch.testing.assert_close(bright, dim, atol=1e-4, rtol=0)
    assert bright[0, 0] > bright[0, 1] + 0.1


@pytest.mark.parametrize("side", [220, 300, 411])
def test_skin_and_lips_keep_the_sharpness_of_the_source(side: int) -> None:
    grain = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 40, (side, side)), (0, 0), 1.2)[..., None]
    shade = np.linspace(90, 170, side)[:, None, None]
    crop = np.clip(shade + grain + np.array([30, 0, -20]), 0, 255).astype(np.uint8)
    generator = Builtin(small_network(), device="cpu", number_format="fp32")
    rows = np.random.default_rng(4).normal(0, 0.5, (1, 10)).astype(np.float32)
    [mouth] = generator.generate([crop], rows)

    def detail(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image[int(side * 0.85) : int(side * 0.95)], axis=1)).mean())

    chin, source = (image[:, side // 3 : 2 * side // 3] for image in (mouth.transpose(1, 2, 0), crop / 255.0))
    assert detail(chin) > 0.9 * detail(source)
    small = cv2.resize(crop, (128, 128), interpolation=cv2.INTER_AREA)
    [soft] = generator.generate([small], rows)
    enlarged = cv2.resize(soft.transpose(1, 2, 0), (side, side), interpolation=cv2.INTER_CUBIC)
    assert detail(enlarged[:, side // 3 : 2 * side // 3]) < 0.85 * detail(chin)


@pytest.mark.parametrize("size", [(128, 128), (130, 141), (257, 199)])
def test_a_window_lies_where_it_lay_at_any_size(size: tuple[int, int]) -> None:
    config = NetworkConfig()
    region = window_region(size, config.window)
    corner, grid = region_grid(region, torch.zeros(1))[0, 0, 0], region_grid(region, torch.zeros(1))
    assert grid.shape[1:3] == region.size
    # A pixel centre keeps its share of the crop, whatever the crop's size.
    shares = (corner + torch.tensor([config.left, config.top]) + 0.5) / config.crop
    expected = [(region.columns.start + 0.5) / size[1], (region.rows.start + 0.5) / size[0]]
    torch.testing.assert_close(shares, torch.tensor(expected), atol=1e-5, rtol=0)
    torch.testing.assert_close(to_region(grid, region)[0, 5, 7], torch.tensor([7.0, 5.0]), atol=1e-3, rtol=0)


def test_a_painted_interior_stays_near_the_lips() -> None:
    torch.manual_seed(0)
    network = small_network(mouth_widths=(4, 4, 4)).eval()
    crop = torch.rand(1, 3, 200, 180)
    with torch.inference_mode():
        maps, outlines = network.predict(
            torch.nn.functional.interpolate(crop, (128, 128)), torch.zeros(1, 10)
        )
        with_painter = network.compose(crop, maps, outlines)
        network.painter.mouth.paint.bias[:3] += 9  # paints white
        other = network.compose(crop, maps, outlines)
    changed = (with_painter - other).abs().amax(1)[0]
    assert changed.max() > 0.1  # something is painted
    near = mouth_outline.render_inner_lips(outlines.target, 80, 112, sigma=6.0)[0, 0]
    region = window_region((200, 180), network.config.window)
    reach = sample(near[None, None], region_grid(region, near))[0, 0]
    assert changed[region.rows, region.columns][reach < 0.02].max() < 0.02


@pytest.mark.parametrize("mouth_widths", [None, (4, 4, 4)])
@pytest.mark.parametrize("size", [(128, 128), (301, 240), (640, 520)])
def test_inference_and_training_compose_alike(
    mouth_widths: tuple[int, int, int] | None, size: tuple[int, int]
) -> None:
    network = prepare_for_inference(small_network(mouth_widths), torch.device("cpu"), torch.float32)
    noise = np.random.default_rng(5).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    crop = np.asarray(cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    shapes = torch.randn(1, 10)
    image = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        faces = torch.nn.functional.interpolate(image, (128, 128), mode="area")
        maps, outlines = network.predict(faces, shapes)
        expected = network.compose(image, maps, outlines)[0].clamp(0, 1).numpy()
        [mouth] = compose_crops(network, [crop], maps, outlines)
    assert np.abs(expected - image[0].numpy()).max() > 0.1
    assert np.abs(mouth - expected).max() < 0.03 and np.abs(mouth - expected).mean() < 0.002


def test_only_what_is_drawn_is_composed_and_comes_out_as_in_the_whole_window() -> None:
    region = window_region((640, 520), NetworkConfig().window)
    part = region.part((30.0, 10.0, 70.0, 60.0))
    assert part.size[0] < 0.8 * region.size[0] and part.size[1] < 0.6 * region.size[1]
    whole, grid = region_grid(region, torch.zeros(1)), region_grid(part, torch.zeros(1))
    down, across = part.rows.start - region.rows.start, part.columns.start - region.columns.start
    assert down % 4 == 0 and across % 4 == 0
    there = whole[:, down : down + part.size[0], across : across + part.size[1]]
    torch.testing.assert_close(grid, there, atol=1e-4, rtol=0)
    # The neighbours that bilinear samples at the edges of the bounds need are in it.
    assert (grid.amin((1, 2)) <= torch.tensor([29.0, 9.0])).all()
    assert (grid.amax((1, 2)) >= torch.tensor([71.0, 61.0])).all()
    assert region.part((-500.0, -500.0, -400.0, -400.0)) == region


@pytest.mark.parametrize("sigma", [1.8, 0.5])
def test_maps_are_blurred_as_opencv_blurs(sigma: float) -> None:
    image = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    size = 2 * int(3 * sigma) + 1
    expected = [
        cv2.GaussianBlur(one.permute(1, 2, 0).numpy(), (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
        for one in image
    ]
    result = blurred(image, sigma).permute(0, 2, 3, 1).numpy()
    assert np.abs(result - np.stack(expected)).max() < 1e-5


def test_a_convolution_of_groups_of_pixels_is_that_of_an_unshuffled_image() -> None:
    convolution = UnshuffledConv(5, 7)
    image = torch.randn(2, 5, 12, 16)
    expected = torch.nn.functional.conv2d(
        torch.nn.functional.pixel_unshuffle(image, 2), convolution.weight, padding=1
    )
    torch.testing.assert_close(convolution(image), expected, atol=1e-5, rtol=0)


@pytest.mark.skipif(not can_pack(torch.device("cpu"), torch.float32), reason="torch has no operators to pack")
@pytest.mark.parametrize("mouth_widths", [None, (4, 4, 4)])
def test_packed_networks_draw_the_same(mouth_widths: tuple[int, int, int] | None) -> None:
    network = small_network(mouth_widths).eval()
    faces, shapes = torch.rand(3, 3, 128, 128), torch.randn(3, 10)
    packed = prepare_for_inference(copy.deepcopy(network), torch.device("cpu"), torch.float32)
    kinds = [type(module) for module in packed.modules()]
    assert PackedConv in kinds and torch.nn.ReLU not in kinds and torch.nn.BatchNorm2d not in kinds
    with torch.inference_mode():
        torch.testing.assert_close(packed(faces, shapes), network(faces, shapes), atol=1e-3, rtol=0)


def laplacian_deviation(image: np.ndarray, where: np.ndarray) -> float:
    grey = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[where].std())


@pytest.mark.parametrize("detail", [1.0, 0.9, 0.5])
def test_detail_lost_by_moving_pixels_is_restored_up_to_the_source_s(detail: float) -> None:
    texture = np.random.default_rng(8).normal(0, 6, (90, 120, 1))
    source = np.clip(np.array([170.0, 120, 100]) + texture, 0, 255).astype(np.uint8)
    smooth = cv2.GaussianBlur(source.astype(np.float32), (3, 3), 0)
    moved = smooth + (source - smooth) * np.float32(detail)
    mask = np.zeros((90, 120), np.float32)
    mask[20:70, 20:100] = 1
    where = mask > 0
    result = restore_detail(
        MovedCrop(Region(slice(0, 90), slice(0, 120), (1.0, 1.0), (0.0, 0.0)), source, moved, mask)
    )
    before, after = (laplacian_deviation(one, where) for one in (moved, result))
    goal = laplacian_deviation(source, where)
    assert after == pytest.approx(min(goal, 1.2 * before), rel=0.04)
    assert result.mean((0, 1)) == pytest.approx(moved.mean((0, 1)), abs=0.05)  # neither lighter nor darker
