"""Whether a model fits a machine, and where it goes."""

from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.assess.fit import FitAnswer, default_fits, fit_model, largest_fitting
from gpucheck.errors import UsageError
from gpucheck.estimators.setting import make_setting
from gpucheck.machine.types import GpuMemory, Machine, Mig
from gpucheck.models.reference import parse_reference
from gpucheck.probes.facts import Memory
from gpucheck.units import GIB, MIB
from tests.assess.machines import box, card

CONTEXT = 460 * MIB  # what the estimate counts for a device context


def fit(machine: Machine, text: str, context: int = 8192) -> FitAnswer:
    """The answer for a reference as a user types it."""
    return fit_model(machine, parse_reference(text), setting=make_setting(context, 1, "llama.cpp"))


class TestOneCard:
    """A single 24 GiB card with 64 GiB of RAM."""

    @pytest.mark.parametrize(
        ("text", "fits", "mode"),
        [
            ("8b@q4", "yes", "one_gpu"),  # 6.3 GiB
            ("8b@bf16", "yes", "one_gpu"),  # 16.9 GiB
            ("14b@q8", "yes", "one_gpu"),  # 16.0 GiB
            ("32b@q4", "yes", "one_gpu"),  # 20.7 GiB, at most 22.6
            ("14b@bf16", "partial", "gpu_and_cpu"),  # 28.4 GiB
            ("70b@q4", "partial", "gpu_and_cpu"),  # 43.0 GiB
            ("70b@bf16", "no", "none"),  # 134 GiB
        ],
    )
    def test_usual_models_go_where_their_size_says(self, text: str, fits: str, mode: str) -> None:
        """The card takes what it holds, RAM the rest, and nothing holds 134 GiB in 88."""
        answer = fit(box(card()), text)
        assert (answer.fits, answer.placement.mode) == (fits, mode)

    def test_a_fit_without_room_for_the_upper_bound_is_tight(self) -> None:
        """32b@q4 likely needs 20.7 GiB and at most 22.6: 22 GiB is tight, and a gate may still accept it."""
        answer = fit(box(card(gib=22.0)), "32b@q4")
        assert (answer.fits, answer.verdict) == ("tight", "fits on one GPU, tight")
        assert answer.memory.available_bytes is not None
        assert answer.memory.total_bytes <= answer.memory.available_bytes < answer.memory.high_bytes

    def test_usable_memory_is_what_is_available(self) -> None:
        """Not the total, and the device context counts as need."""
        memory = GpuMemory(24 * GIB, 22 * GIB, 20 * GIB, "dedicated")
        answer = fit(box(card(memory=memory)), "8b@q4")
        assert answer.memory.available_bytes == 20 * GIB
        assert answer.memory.overhead_bytes == CONTEXT

    def test_only_usable_memory_known_is_enough(self) -> None:
        """Neither total nor free memory is needed for an answer."""
        memory = GpuMemory(usable_bytes=20 * GIB)
        assert fit(box(card(memory=memory)), "8b@q4").fits == "yes"

    def test_memory_that_others_hold_is_not_available(self) -> None:
        """The same card with 18 GiB in use no longer holds 8b@bf16."""
        memory = GpuMemory(24 * GIB, 6 * GIB, 6 * GIB, "dedicated")
        assert fit(box(card(memory=memory)), "8b@bf16").fits == "partial"

    def test_the_division_adds_up(self) -> None:
        """With offload the card is full, the host has the rest, and the sum is the need."""
        answer = fit(box(card()), "70b@q4")
        assert answer.placement.gpu_bytes == 24 * GIB
        assert answer.placement.gpu_bytes + answer.placement.host_bytes == answer.memory.total_bytes
        assert "24.0 GiB on GPU 0" in answer.reasons[1]

    def test_a_card_that_holds_no_layer_takes_no_part(self) -> None:
        """With 0.5 GiB free the model runs in RAM, and the reasons say why."""
        answer = fit(box(card(gib=0.5)), "8b@q4")
        assert (answer.fits, answer.placement.mode) == ("partial", "cpu")
        assert answer.placement.devices == ()
        assert "cannot hold a useful part" in answer.reasons[1]
        assert answer.verdict == "runs on the CPU"


class TestSeveralCards:
    """Cards of one vendor are pooled, and as few are used as give the best answer."""

    def test_one_card_is_preferred(self) -> None:
        """Of eight 80 GiB cards a 70b in 4 bits takes one."""
        answer = fit(box(*(card(index, 80.0) for index in range(8))), "70b@q4")
        assert (answer.fits, answer.placement.mode, answer.placement.devices) == ("yes", "one_gpu", (0,))

    def test_two_cards_hold_what_one_does_not(self) -> None:
        """70b@q4 needs 43.0 GiB and a second context and buffer, at most 47.3: twice 23.5 GiB is tight."""
        answer = fit(box(card(0, 23.5), card(1, 23.5)), "70b@q4")
        assert (answer.fits, answer.placement.mode) == ("tight", "several_gpus")
        assert answer.placement.devices == (0, 1)
        assert answer.memory.overhead_bytes == 2 * CONTEXT
        assert answer.memory.available_bytes == 47 * GIB

    def test_a_second_card_makes_a_tight_fit_comfortable(self) -> None:
        """32b@q4 is tight on one card of 22 GiB and fits over two."""
        answer = fit(box(card(0, 22.0), card(1, 22.0)), "32b@q4")
        assert (answer.fits, answer.placement.mode) == ("yes", "several_gpus")

    def test_a_large_node_takes_the_fewest_cards(self) -> None:
        """405b@q8 likely needs 404 GiB in weights and cache: six cards of 80 GiB, not eight."""
        answer = fit(box(*(card(index, 80.0) for index in range(8))), "405b@q8")
        assert answer.fits == "yes"
        assert len(answer.placement.devices) == 6
        assert answer.reasons[1] == "GPUs 0–5 have 480 GiB available together"

    def test_the_larger_card_comes_first(self) -> None:
        """A 24 GiB card beside an 8 GiB card is the one that is used."""
        answer = fit(box(card(0, 8.0), card(1, 24.0)), "14b@q8")
        assert answer.placement.devices == (1,)

    def test_vendors_are_not_mixed(self) -> None:
        """24 GiB of NVIDIA and 24 GiB of AMD are not 48 GiB for one process."""
        answer = fit(box(card(0), card(1, vendor="AMD"), ram=1.0), "70b@q4")
        assert answer.fits == "no"
        assert answer.memory.available_bytes == 24 * GIB

    def test_an_integrated_gpu_is_not_pooled_with_a_card(self) -> None:
        """The graphics of the processor share its RAM, and add nothing to a card."""
        graphics = card(1, 32.0, vendor="AMD", kind="integrated")
        answer = fit(box(card(0, vendor="AMD"), graphics, ram=1.0), "70b@q4")
        assert answer.fits == "no"


class TestMig:
    """MIG devices: a process sees one of them."""

    SLICES = (
        card(0, 80.0, mig=Mig("enabled")),
        card(1, 39.5, kind="mig", mig=Mig(profile="3g.40gb", parent=0)),
        card(2, 19.5, kind="mig", mig=Mig(profile="2g.20gb", parent=0)),
    )

    def test_slices_are_not_added_up(self) -> None:
        """40 and 20 GiB hold no 43 GiB model, although their card would."""
        answer = fit(box(*self.SLICES, ram=8.0), "70b@q4")
        assert answer.fits == "partial"
        assert answer.placement.devices == (1,)
        assert any("one MIG device only" in reason for reason in answer.reasons)

    def test_the_slice_that_holds_it_is_used(self) -> None:
        """A 20.7 GiB model goes to the larger slice, and the card that is cut up is no device."""
        assert fit(box(*self.SLICES), "32b@q4").placement.devices == (1,)


class TestNoGpu:
    """RAM decides where no GPU is usable."""

    def test_16_gib_of_ram(self) -> None:
        """8b and 14b in 4 bits fit, 14b@q8 (15.7 GiB) just so, 32b@q4 does not: there is no partly."""
        assert fit(box(ram=16.0), "8b@q4").fits == "yes"
        assert fit(box(ram=16.0), "14b@q4").fits == "yes"
        assert fit(box(ram=16.0), "14b@q8").fits == "tight"
        answer = fit(box(ram=16.0), "32b@q4")
        assert (answer.fits, answer.placement.mode, answer.verdict) == ("no", "none", "does not fit")
        assert answer.reasons[1] == "RAM available: 16.0 GiB"

    def test_the_process_goes_to_the_cpu(self) -> None:
        """The whole need is the host's, without a device context."""
        answer = fit(box(ram=16.0), "8b@q4")
        assert answer.placement.mode == "cpu"
        assert answer.placement.host_bytes == answer.memory.total_bytes
        assert answer.memory.available_bytes == 16 * GIB

    def test_a_cgroup_limit_counts_and_not_the_hosts_ram(self) -> None:
        """A container of 4 GiB on a host of 256 GiB does not hold a 6 GiB model."""
        assert fit(box(ram=256.0, limit=4.0), "8b@q4").fits == "no"

    def test_a_hidden_card_is_not_used_and_named(self) -> None:
        """CUDA_VISIBLE_DEVICES takes the card away; RAM decides, and the reasons tell."""
        hidden = card(visible=False, hidden_by="CUDA_VISIBLE_DEVICES")
        answer = fit(box(hidden), "8b@q4")
        assert (answer.fits, answer.placement.mode) == ("yes", "cpu")
        assert "no GPU is usable: GPU 0 is hidden by CUDA_VISIBLE_DEVICES" in answer.reasons

    @pytest.mark.parametrize(
        ("facts", "why"),
        [
            ({"state": "lost"}, "GPU 0 is in state lost"),
            ({"visible": False}, "GPU 0 is hidden"),
            ({"compute_mode": "prohibited"}, "compute mode prohibited"),
            ({"mig": Mig("enabled")}, "has MIG enabled"),
        ],
    )
    def test_every_reason_against_a_card_is_told(self, facts: dict[str, object], why: str) -> None:
        """What keeps a process off a GPU is said in words."""
        assert why in fit(box(card(**facts)), "8b@q4").reasons[2]


class TestShared:
    """Integrated and unified devices draw on the host's memory."""

    def test_a_unified_machine_has_its_memory_once(self) -> None:
        """128 GiB of shared memory and 120 GiB of RAM are not 248 GiB."""
        memory = GpuMemory(128 * GIB, None, 96 * GIB, "shared")
        chip = card(memory=memory, kind="unified")
        assert fit(box(chip, ram=120.0), "70b@q8").fits == "yes"
        assert fit(box(chip, ram=120.0), "70b@bf16").fits == "no"  # 134 GiB

    def test_above_the_devices_own_limit_the_cpu_takes_the_rest(self) -> None:
        """96 GiB may be the GPU's; 110 GiB fit into the same RAM with a part on the CPU."""
        memory = GpuMemory(128 * GIB, None, 64 * GIB, "shared")
        answer = fit(box(card(memory=memory, kind="unified"), ram=120.0), "70b@q8")
        assert (answer.fits, answer.placement.mode) == ("partial", "gpu_and_cpu")
        assert answer.placement.gpu_bytes == 64 * GIB

    def test_an_integrated_gpu_without_a_limit_has_what_ram_has(self) -> None:
        """Graphics that state no memory of their own share the RAM that is left."""
        graphics = card(gib=None, vendor="Intel", kind="integrated")
        answer = fit(box(graphics, ram=16.0), "8b@q4")
        assert (answer.fits, answer.memory.available_bytes) == ("yes", 16 * GIB)


class TestUnknown:
    """Unknown is an answer only where the missing figure decides."""

    def test_a_card_that_does_not_say_leaves_it_open(self) -> None:
        """Without its memory nothing can be told, and the reason names the card."""
        answer = fit(box(card(gib=None)), "8b@q4")
        assert (answer.fits, answer.verdict) == ("unknown", "cannot be told")
        assert answer.memory.available_bytes is None
        assert "GPU 0: available memory is unknown" in answer.reasons

    def test_a_silent_second_card_does_not_matter_if_the_first_suffices(self) -> None:
        """24 GiB that are known hold the model."""
        assert fit(box(card(0), card(1, None)), "8b@q4").fits == "yes"

    def test_a_silent_second_card_matters_if_it_could_tip_it(self) -> None:
        """43 GiB do not fit the known 24; the other card could have them."""
        assert fit(box(card(0), card(1, None)), "70b@q4").fits == "unknown"

    def test_a_card_can_not_have_more_free_than_it_has(self) -> None:
        """A 24 GiB card whose free memory is unknown still holds no 134 GiB."""
        silent = card(memory=GpuMemory(total_bytes=24 * GIB))
        assert fit(box(silent), "70b@bf16").fits == "no"
        assert fit(box(silent), "8b@q4").fits == "unknown"

    def test_unknown_ram_does_not_matter_if_the_card_suffices(self) -> None:
        """A missing host fact does not make a fit on the GPU unknown."""
        assert fit(box(card(), ram=None), "8b@q4").fits == "yes"

    def test_unknown_ram_matters_where_offload_would(self) -> None:
        """Whether the rest of 43 GiB has room in RAM cannot be told."""
        assert fit(box(card(), ram=None), "70b@q4").fits == "unknown"

    def test_unknown_ram_without_a_gpu(self) -> None:
        """Nothing to decide on."""
        assert fit(box(ram=None), "8b@q4").fits == "unknown"

    def test_ram_that_is_too_small_in_all_decides_though_its_use_is_unknown(self) -> None:
        """A host of 4 GiB has no 6 GiB free, whatever is in use."""
        small = msgspec.structs.replace(box(), memory=Memory(total_bytes=4 * GIB))
        assert fit(small, "8b@q4").fits == "no"
        with_card = msgspec.structs.replace(small, gpus=(card(),))
        assert fit(with_card, "70b@q4").fits == "no"


class TestContract:
    """The fields that the JSON output promises."""

    def test_the_fields_and_their_names(self) -> None:
        """An answer has the contract's fields; speed is there, and null."""
        answer = msgspec.to_builtins(fit(box(card()), "8b@q4"))
        assert list(answer) == [
            "model", "quant", "engine", "task", "context", "batch", "fits", "usable", "supported", "verdict",
            "memory", "speed", "placement", "reasons", "assumptions", "rows", "changes", "max_context", "command",
            "support_reasons", "serving",
        ]  # fmt: skip
        assert answer["speed"] == {"decode_tok_s": None, "prefill_tok_s": None, "ttft_s": None}
        assert (answer["model"], answer["quant"], answer["engine"]) == ("8b", "Q4_K_M", "llama.cpp")
        assert (answer["task"], answer["context"], answer["batch"]) == ("inference", 8192, 1)
        assert (answer["usable"], answer["supported"]) == ("unknown", "unknown")
        memory = answer["memory"]
        parts = ("weights_bytes", "kv_cache_bytes", "compute_bytes", "overhead_bytes")
        assert memory["total_bytes"] == sum(memory[part] for part in parts)
        assert answer["reasons"]
        assert answer["assumptions"]

    def test_a_size_without_a_quantization_gets_the_best_that_fits(self) -> None:
        """24 GiB hold an 8b in 16 bits, a 14b in 8 and a 32b in 4; a 70b only partly, and best in 4 bits."""
        quants = [fit(box(card()), size).quant for size in ("8b", "14b", "32b", "70b", "405b")]
        assert quants == ["bf16", "Q8_0", "Q4_K_M", "Q4_K_M", "Q4_K_M"]

    def test_the_argument_comes_before_the_reference(self) -> None:
        """An explicit quantization wins over the one in the text."""
        assert fit_model(box(card()), parse_reference("8b@q4"), "q8").quant == "Q8_0"

    def test_what_makes_no_sense_is_a_usage_error(self) -> None:
        """Unknown quantization, unknown engine, no context."""
        reference = parse_reference("8b")
        with pytest.raises(UsageError):
            fit_model(box(card()), reference, "q9")
        with pytest.raises(UsageError):
            make_setting(8192, 1, "pencil")
        with pytest.raises(UsageError):
            make_setting(0, 1, "llama.cpp")


class TestTable:
    """The table of usual sizes and the headline."""

    def test_the_usual_sizes_in_three_quantizations(self) -> None:
        """Five sizes, each in 16, 8 and 4 bits, in order."""
        table = default_fits(box(card()))
        assert [answer.model for answer in table[::3]] == ["3b", "8b", "14b", "32b", "70b"]
        assert [answer.quant for answer in table[:3]] == ["bf16", "Q8_0", "Q4_K_M"]

    def test_a_tiny_machine_also_hears_of_1b(self) -> None:
        """Below 8 GiB the smallest size is what matters."""
        assert default_fits(box(ram=4.0))[0].model == "1b"

    def test_a_large_machine_also_hears_of_405b(self) -> None:
        """From 300 GiB on the large sizes are of interest."""
        table = default_fits(box(*(card(index, 80.0) for index in range(8))))
        assert [answer.model for answer in table[::3]] == ["3b", "8b", "14b", "32b", "70b", "120b", "405b"]

    def test_unknown_memory_has_the_usual_table(self) -> None:
        """Nothing is known, so nothing is added."""
        assert {answer.fits for answer in default_fits(box(card(gib=None), ram=None))} == {"unknown"}

    def test_the_largest_models_of_a_workstation(self) -> None:
        """24 GiB hold a 32b in 4 bits; 64 GiB of RAM a 104b, just; both a 123b."""
        largest = largest_fitting(box(card()), "q4")
        assert (largest.on_gpus, largest.in_ram, largest.with_offload) == ("32b", "104b", "123b")

    def test_without_a_gpu_only_ram_holds_anything(self) -> None:
        """16 GiB of RAM hold a 24b in 4 bits, just."""
        largest = largest_fitting(box(ram=16.0), "q4")
        assert (largest.on_gpus, largest.in_ram, largest.with_offload) == (None, "24b", None)

    def test_nothing_fits_where_nothing_is_known(self) -> None:
        """Unknown memory is no memory for a headline."""
        largest = largest_fitting(box(card(gib=None), ram=None), "q4")
        assert (largest.on_gpus, largest.in_ram, largest.with_offload) == (None, None, None)

    def test_the_table_of_a_large_node_is_quick(self) -> None:
        """The whole table takes well below the tenth of a second that would be felt."""
        node = box(*(card(index, 80.0) for index in range(8)))
        default_fits(node)
        start = time.perf_counter()
        default_fits(node)
        assert time.perf_counter() - start < 0.1


SIZES = st.sampled_from(("1b", "3b", "8b", "14b", "32b", "70b", "8x7b", "30b-a3b", "405b"))
QUANTS = st.sampled_from(("bf16", "Q8_0", "Q4_K_M"))
GIBS = st.floats(0.1, 700, allow_nan=False)
RANK = {"no": 0, "partial": 1, "tight": 2, "yes": 3}


@given(SIZES, QUANTS, st.lists(GIBS, max_size=4), GIBS, GIBS)
def test_more_ram_never_makes_it_worse(size: str, quant: str, cards: list[float], ram: float, more: float) -> None:
    """A machine with more RAM answers at least as well."""
    gpus = tuple(card(index, gib) for index, gib in enumerate(cards))
    answers = [fit(box(*gpus, ram=gib), f"{size}@{quant}").fits for gib in (ram, ram + more)]
    assert RANK[answers[0]] <= RANK[answers[1]]


@given(SIZES, QUANTS, st.lists(GIBS, min_size=1, max_size=4), GIBS, GIBS)
def test_more_memory_on_a_card_never_makes_it_worse(
    size: str, quant: str, cards: list[float], ram: float, more: float
) -> None:
    """A machine whose first card is larger, or that has one card more, answers at least as well."""
    gpus = tuple(card(index, gib) for index, gib in enumerate(cards))
    larger = (card(0, cards[0] + more), *gpus[1:])
    longer = (*gpus, card(len(gpus), more))
    base, *others = (fit(box(*which, ram=ram), f"{size}@{quant}").fits for which in (gpus, larger, longer))
    assert all(RANK[base] <= RANK[other] for other in others)


@given(SIZES, QUANTS, st.lists(GIBS, max_size=3), GIBS, st.tuples(*[st.integers(1, 100_000)] * 2))
def test_a_longer_context_never_makes_it_better(
    size: str, quant: str, cards: list[float], ram: float, contexts: tuple[int, int]
) -> None:
    """More tokens never turn no into yes, nor tight into comfortable."""
    machine = box(*(card(index, gib) for index, gib in enumerate(cards)), ram=ram)
    short, long = (fit(machine, f"{size}@{quant}", context) for context in sorted(contexts))
    assert RANK[short.fits] >= RANK[long.fits]


@given(SIZES, QUANTS, st.lists(GIBS, max_size=4), GIBS)
def test_a_placement_never_exceeds_its_devices(size: str, quant: str, cards: list[float], ram: float) -> None:
    """What is put on GPUs and host fits there, and adds up to the need."""
    answer = fit(box(*(card(index, gib) for index, gib in enumerate(cards)), ram=ram), f"{size}@{quant}")
    placement = answer.placement
    if answer.fits == "no":
        assert placement.mode == "none"
        return
    assert placement.gpu_bytes <= sum(int(cards[index] * GIB) for index in placement.devices)
    assert placement.host_bytes <= ram * GIB
    assert placement.gpu_bytes + placement.host_bytes == answer.memory.total_bytes
