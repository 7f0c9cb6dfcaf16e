"""References to models: sizes, quantizations, and what is neither."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.errors import AmbiguousNameError, GpucheckError, UnknownNameError, UsageError
from gpucheck.models.model import Model
from gpucheck.models.quantization import QUANTIZATIONS, find_quantization
from gpucheck.models.reference import ModelReference, parse_reference
from gpucheck.models.size import parse_size
from tests.models.gguf_files import LLAMA, TINY, write_gguf

BILLION = 10**9


LISTED = Model(id="maker/Known-8B", source="catalogue", size=parse_size("8b"))


def find_listed(name: str) -> Model:
    """A catalogue with one model, and a word that several have."""
    if name.lower() in {"known", "maker/known-8b"}:
        return LISTED
    if name == "common":
        raise AmbiguousNameError("'common' could be several models", ("a/common-1", "b/common-2"))
    raise UnknownNameError("no such model", ("maker/Known-8B",) if "knwn" in name else ())


@pytest.fixture(scope="module", autouse=True)
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A catalogue of one model, and no model of the developer's own in a store."""
    place = str(tmp_path_factory.mktemp("empty"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gpucheck.models.catalogue.find_model", find_listed)
        for name in ("HF_HUB_CACHE", "OLLAMA_MODELS", "HOME", "USERPROFILE"):
            patch.setenv(name, place)
        yield


@pytest.mark.parametrize(
    ("badge", "real"),
    [
        ("7b", 7.242),  # Mistral-7B-v0.1
        ("7b", 7.616),  # Qwen2.5-7B
        ("8b", 8.030),  # Llama-3.1-8B
        ("8b", 8.792),  # granite-4.1-8b
        ("3b", 3.213),  # Llama-3.2-3B
        ("1b", 1.236),  # Llama-3.2-1B
        ("1b", 1.485),  # OLMo-2-1B
        ("1.5b", 1.544),  # Qwen2.5-1.5B
        ("0.5b", 0.494),  # Qwen2.5-0.5B
        ("360m", 0.362),  # SmolLM2-360M
        ("14b", 14.770),  # Qwen2.5-14B
        ("32b", 32.762),  # Qwen3-32B
        ("70b", 70.554),  # Llama-3.1-70B
        ("70b", 68.977),  # Llama-2-70B
        ("405b", 405.853),  # Llama-3.1-405B
        ("120b", 116.789),  # gpt-oss-120b
        ("30b-a3b", 30.532),  # Qwen3-30B-A3B
        ("235b-a22b", 235.094),  # Qwen3-235B-A22B
        ("1t", 1026.408),  # Kimi-K2
    ],
)
def test_a_badge_covers_real_models_of_that_name(badge: str, real: float) -> None:
    """The range of a size contains the published counts of models that carry it."""
    size = parse_size(badge)
    assert size
    assert size.total_low <= real * BILLION <= size.total_high
    assert size.total_low < size.total_parameters < size.total_high


def test_a_coarse_badge_has_a_wider_range_than_a_precise_one() -> None:
    """1b may be 1.0 or 1.7 billion; 1.5b is near 1.5; 70b is near 70."""
    wide, narrow, large = (parse_size(badge) for badge in ("1b", "1.5b", "70b"))
    assert wide
    assert narrow
    assert large
    spread = [(size.total_high - size.total_low) / size.total_parameters for size in (wide, narrow, large)]
    assert spread[0] > 3 * spread[1]
    assert spread[0] > 5 * spread[2]


def test_the_mixtrals_have_their_known_counts() -> None:
    """8x7b is 46.7B in all and 12.9B active, not 56B, and leaves no range."""
    size = parse_size("8x7B")
    assert size
    assert (size.total_low, size.total_parameters, size.total_high) == (46_702_792_704,) * 3
    assert size.active_parameters == 12_879_925_248
    assert parse_size("8x22b") == parse_size("8X22B")


def test_another_number_of_experts_has_a_range_below_the_product() -> None:
    """4x7b is at most 28B: 7 x (0.2 + 4 x 0.8) = 23.8B is likely, 0.65 x 28 = 18.2B possible."""
    size = parse_size("4x7b")
    assert size
    assert size.total_parameters == pytest.approx(23.8e9)
    assert (size.total_low, size.total_high) == (18_200_000_000, 28_000_000_000)
    assert size.active_parameters == pytest.approx(12.6e9)


def test_active_parameters_are_known_only_where_the_name_says_them() -> None:
    """A bare size may be dense or sparse; -a3b says three billion."""
    dense, sparse = parse_size("30b"), parse_size("30b-a3b")
    assert dense
    assert sparse
    assert dense.active_parameters is None
    assert not dense.experts
    assert sparse.active_parameters == 3 * BILLION
    assert sparse.experts
    assert dense.total_parameters == sparse.total_parameters


@pytest.mark.parametrize(
    "text", ["", "b", "7", "0b", "0.0b", "7bb", "-7b", "7b-a9b", "7b-a0b", "1x7b", "8x0b", "7 b", "٧b"]
)
def test_what_is_no_size_gives_none(text: str) -> None:
    """Zero, an active part above the whole, a single expert and foreign digits are no sizes."""
    assert parse_size(text) is None


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_a_larger_whole_number_is_never_a_smaller_model(one: int, other: int) -> None:
    """Among whole badges the likely total grows with the number."""
    small, large = parse_size(f"{min(one, other)}b"), parse_size(f"{max(one, other)}b")
    assert small
    assert large
    assert small.total_parameters <= large.total_parameters


@pytest.mark.parametrize(
    ("text", "model", "quant"),
    [
        ("70b@q4", "70b", "Q4_K_M"),
        (" 7B @ Q8 ", "7b", "Q8_0"),
        ("8x7b@iq4_xs", "8x7b", "IQ4_XS"),
        ("0.5b@f16", "0.5b", "fp16"),
        ("405B@BF16", "405b", "bf16"),
        ("30b-A3B", "30b-a3b", None),
    ],
)
def test_a_reference_is_a_size_and_perhaps_a_quantization(text: str, model: str, quant: str | None) -> None:
    """Case and blanks do not matter; short names become the full ones."""
    reference = parse_reference(text)
    assert (reference.text, reference.quant) == (model, quant)
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("llama-3.1-8b", ("8b",)),
        ("mistralai/Mixtral-8x7B-v0.1", ("8x7b",)),
        ("Qwen3-30B-A3B-Instruct@q4", ("30b-a3b",)),
        ("phi-4", ("1b", "3b", "8b", "14b", "32b", "70b")),
        ("7bn", ("7b",)),
        ("gpt", ("1b", "3b", "8b", "14b", "32b", "70b")),
        ("0b", ("1b", "3b", "8b", "14b", "32b", "70b")),
    ],
)
def test_a_name_is_answered_with_the_sizes_that_it_suggests(text: str, candidates: tuple[str, ...]) -> None:
    """Names are not known: the sentence says so and offers the size in the name, or usual ones."""
    with pytest.raises(UnknownNameError, match=r"does not know a model named .* give its size") as caught:
        parse_reference(text)
    assert caught.value.candidates == candidates
    assert candidates[0] in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names no model"),
        ("@q4", "names no model"),
        ("70b@", "write 70b@q4"),
        ("70", "write 70b for 70 billion"),
        ("70b@q9", r"'q9' is not a quantization.*q4 \(Q4_K_M\), q8 \(Q8_0\), .*bf16"),
        ("70b@q4@q8", "is not a quantization"),
    ],
)
def test_an_incomplete_reference_is_a_usage_error_that_mends(text: str, sentence: str) -> None:
    """What is missing is named, with the reference as it should be."""
    with pytest.raises(UsageError, match=sentence):
        parse_reference(text)


@pytest.mark.parametrize("text", ["known", "maker/Known-8B", "Known"])
def test_a_name_is_looked_up_in_the_catalogue(text: str) -> None:
    """By its id or a part of it; the reference carries the full id, and may have a quantization."""
    reference = parse_reference(f"{text}@q4")
    assert (reference.text, reference.quant, reference.model) == ("maker/Known-8B", "Q4_K_M", LISTED)
    assert reference.size == parse_size("8b")
    assert parse_reference(str(reference)) == reference


def test_a_word_of_several_models_is_ambiguous_not_guessed() -> None:
    """All of them are candidates."""
    with pytest.raises(AmbiguousNameError) as caught:
        parse_reference("common")
    assert caught.value.candidates == ("a/common-1", "b/common-2")


def test_a_slip_is_answered_with_near_names_and_sizes() -> None:
    """The nearest comes first; the size in the name is offered as well."""
    with pytest.raises(UnknownNameError, match="did you mean maker/Known-8B") as caught:
        parse_reference("knwn-8b")
    assert caught.value.candidates == ("maker/Known-8B", "8b")


def test_a_model_whose_shape_is_not_known_has_no_size() -> None:
    """The sentence says why."""
    model = Model(id="x", source="safetensors", issues=("there is no config.json",))
    with pytest.raises(UsageError, match=r"shape of 'x' is not known: there is no config\.json"):
        _ = ModelReference("x", None, model).size


@pytest.mark.parametrize("text", ["dir@home/a.gguf", "./a@b/c.gguf", "./a@b.gguf"])
def test_an_at_in_a_path_is_no_quantization(text: str) -> None:
    """Directories and files may have one."""
    with pytest.raises(UsageError, match="cannot be opened"):
        parse_reference(text)


def test_a_path_may_have_a_quantization(tmp_path: Path) -> None:
    """Behind the last @."""
    path = write_gguf(tmp_path / "a@b.gguf", LLAMA, TINY)
    assert parse_reference(path).quant is None
    reference = parse_reference(f"{path}@q8")
    assert (reference.text, reference.quant, reference.model.source) == (path, "Q8_0", "gguf")


@pytest.mark.parametrize("text", ["./model.gguf", "no/such.safetensors", "gone.json", "./gone/"])
def test_a_path_to_nothing_is_an_error_about_that_path(text: str) -> None:
    """What looks like a path is never taken for a name."""
    with pytest.raises(UsageError, match=r"cannot be opened|is not a GGUF file"):
        parse_reference(text)


def test_a_very_long_name_is_cut_in_the_sentence() -> None:
    """An error message stays readable whatever was passed."""
    with pytest.raises(UnknownNameError) as caught:
        parse_reference("x" * 100_000)
    assert len(str(caught.value)) < 400


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_a_gpucheck_error(text: str) -> None:
    """No input raises anything else."""
    with contextlib.suppress(GpucheckError):
        parse_reference(text)


@pytest.mark.parametrize(
    ("name", "parameters", "file_bytes"),
    [
        ("Q4_K_M", 8_030_261_248, 4_920_739_232),  # Llama-3.1-8B
        ("Q4_K_M", 70_553_706_496, 42_509_000_000),  # Llama-3-70B, 39.59 GiB
        ("Q4_K_M", 3_836_021_760, 2_491_874_688),  # Phi-4-mini, a large vocabulary
        ("Q4_K_M", 671_026_404_352, 404_424_858_010),  # DeepSeek-R1
        ("Q8_0", 7_615_616_512, 8_096_013_353),  # Qwen2.5-7B
        ("Q8_0", 596_049_920, 639_446_688),  # Qwen3-0.6B
        ("Q6_K", 23_572_403_200, 19_345_952_288),  # Mistral-Small-3.2-24B
        ("Q5_K_M", 3_085_938_688, 2_297_807_503),  # Qwen2.5-3B
        ("bf16", 13_506_073_600, 27_015_344_292),  # Ministral-3-14B
        ("IQ2_M", 49_122_681_728, 15_792_109_472),  # Kimi-Linear-48B
    ],
)
def test_bands_hold_the_sizes_of_published_files(name: str, parameters: int, file_bytes: int) -> None:
    """The bytes of real GGUF files lie within a quantization's band for their parameters."""
    quantization = find_quantization(name)
    likely = quantization.file_bits(parameters) / 8
    assert likely * quantization.low_ratio <= file_bytes <= likely * quantization.high_ratio


def test_every_quantization_is_found_under_its_own_name_in_any_case() -> None:
    """Names are unique and case does not matter."""
    for quantization in QUANTIZATIONS:
        assert find_quantization(quantization.name.swapcase()) is quantization
        assert quantization.low_ratio <= 1 <= quantization.high_ratio
    assert len({quantization.name.lower() for quantization in QUANTIZATIONS}) == len(QUANTIZATIONS)
