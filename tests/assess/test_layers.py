"""Whole layers over devices, and what a placement says of each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpucheck
from gpucheck.assess.fit import FitAnswer
from gpucheck.assess.layers import most, whole
from gpucheck.assess.memory import effective_memory
from gpucheck.assess.workload import Workload
from gpucheck.estimators.parts import Parts
from gpucheck.estimators.setting import Setting
from gpucheck.machine.types import Gpu, GpuMemory
from gpucheck.models.quantization import find_quantization
from gpucheck.models.reference import parse_reference
from gpucheck.units import GIB
from tests.assess.machines import box, card

DENSE = Parts((10,) * 8, (0,) * 8, head_bytes=5, device_bytes=2, total_layers=8)
SPARSE = Parts((10,) * 8, (7,) * 8, head_bytes=5, device_bytes=2, total_layers=8)
LLAMA = "meta-llama/Llama-3.1-70B-Instruct"


def parts(text: str, quant: str, **options: object) -> Parts:
    """The parts of a model of the catalogue at 8,192 tokens on CUDA."""
    setting = Setting(options=tuple(sorted(options.items())))
    layered = Workload(parse_reference(text), find_quantization(quant), setting).layered()
    assert layered
    return layered.parts


def on_each(found: Parts, layers: tuple[int, ...], experts_on_host: int = 0) -> list[int]:
    """Bytes on each device: its layers in their order, its buffers, and the head on the last."""
    held = [
        size - (experts if place < experts_on_host else 0)
        for place, (size, experts) in enumerate(zip(found.layer_bytes, found.expert_bytes, strict=True))
    ][len(found.layer_bytes) - sum(layers) :]
    sums = []
    for count in layers:
        more = found.more_of_several_bytes if len(layers) > 1 else 0
        sums.append(sum(held[:count]) + found.device_bytes + more)
        held = held[count:]
    sums[-1] += found.head_bytes
    return sums


class TestWhole:
    """All layers on the devices, or nothing."""

    def test_one_device(self) -> None:
        """Eight layers, the head and a buffer take 87; 86 are too few."""
        split = whole([87], DENSE)
        assert split
        assert (split.layers, split.total, split.gpu_bytes) == ((8,), 8, 87)
        assert whole([86], DENSE) is None

    def test_equal_devices_are_filled_alike(self) -> None:
        """Each has its own buffer, and the last one the head."""
        split = whole([60, 60], DENSE)
        assert split
        assert (split.layers, split.gpu_bytes) == ((4, 4), 8 * 10 + 2 * 2 + 5)

    def test_a_sum_of_room_that_no_layer_fits_is_none(self) -> None:
        """Three times 19 is 57, but no device takes more than one layer of 10: three layers, not five."""
        assert whole([19, 19, 19], Parts((10,) * 5, (0,) * 5, 0, 2, total_layers=5)) is None

    def test_unequal_devices_get_what_they_hold(self) -> None:
        """A device of three times the room takes the most layers."""
        split = whole([75, 25], DENSE)
        assert split
        assert split.layers == (7, 1)

    def test_the_head_is_on_the_last_device(self) -> None:
        """The last device has no room for the head beside a layer, so the first must take all layers."""
        split = whole([82, 11], DENSE)
        assert split
        assert split.layers == (8, 0)
        assert whole([82, 6], DENSE) is None

    def test_a_projector_lies_on_the_first_device(self) -> None:
        """Its bytes are taken from the first one's room."""
        with_tower = Parts((10,) * 8, (0,) * 8, 5, 2, first_bytes=20, total_layers=8)
        split = whole([60, 60], with_tower)
        assert split
        assert split.layers == (3, 5)


class TestMost:
    """As much as the devices take."""

    def test_the_last_layers_go_to_the_device_with_the_head(self) -> None:
        """40 hold the buffer, the head and three layers."""
        split = most([40], DENSE)
        assert split
        assert (split.layers, split.total, split.gpu_bytes) == ((3,), 8, 2 + 3 * 10 + 5)

    def test_less_than_a_layer_is_nothing(self) -> None:
        """A device with room for the head alone takes no part."""
        assert most([16], DENSE) is None

    def test_experts_leave_before_layers(self) -> None:
        """63 lack 24, which the experts of four layers are; attention of all layers stays."""
        split = most([63], SPARSE)
        assert split
        assert (split.layers, split.experts_on_host, split.gpu_bytes) == ((8,), 4, 87 - 4 * 7)

    def test_layers_leave_where_even_attention_has_no_room(self) -> None:
        """All experts on the host leave 31 for the GPU: with 27 two whole layers are what fits."""
        split = most([27], SPARSE)
        assert split
        assert (split.layers, split.experts_on_host) == ((2,), 0)


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60)), min_size=1, max_size=12),
    st.integers(0, 40),
    st.integers(0, 20),
)
def test_no_device_is_ever_given_more_than_it_has(
    rooms: list[int], layers: list[tuple[int, int]], head: int, device: int
) -> None:
    """Whatever the sizes, the bytes on each device are within its room, and add up to what is said."""
    sizes, experts = [size for size, _ in layers], [min(each, size) for size, each in layers]
    found = Parts(tuple(sizes), tuple(experts), head, device, total_layers=len(sizes))
    for split in (whole(rooms, found), most(rooms, found)):
        if split is None:
            continue
        each = on_each(found, split.layers, split.experts_on_host)
        assert all(used <= room for used, room in zip(each, rooms, strict=True))
        assert sum(each) == split.gpu_bytes
        assert sum(split.layers) <= split.total == len(sizes)


class TestLlama70B:
    """Llama-3.1-70B in Q4_K_M: 42.9 GiB on GPUs with a cache of 8,192 tokens."""

    def fit(self, *gpus: Gpu, ram: float = 64.0, **options: object) -> FitAnswer:
        """The answer on these cards."""
        return gpucheck.fit(box(*gpus, ram=ram), LLAMA, "Q4_K_M", options=options)

    def test_two_cards_of_24_gib(self) -> None:
        """All 80 layers, about half of them on each, and neither card has more than its 24 GiB."""
        answer = self.fit(card(0), card(1))
        placement = answer.placement
        assert (answer.fits, placement.mode, placement.devices) == ("yes", "several_gpus", (0, 1))
        assert (sum(placement.layers), placement.total_layers, placement.experts_on_host) == (80, 80, 0)
        each = on_each(parts(LLAMA, "Q4_K_M"), placement.layers)
        assert max(each) <= 24 * GIB
        assert max(each) - min(each) < 2 * GIB
        buffers = [row.bytes for row in answer.rows if row.component == "compute" and row.device.startswith("gpu")]
        assert len(buffers) == 2
        # Placed with the larger buffer on both; the first GPU's is a little smaller.
        assert sum(each) - (2 * max(buffers) - sum(buffers)) == placement.gpu_bytes
        assert placement.gpu_bytes + placement.host_bytes == answer.memory.total_bytes

    def test_unequal_cards(self) -> None:
        """A card of 32 GiB takes more layers than one of 16."""
        answer = self.fit(card(0, 16.0), card(1, 32.0))
        assert answer.placement.devices == (1, 0)
        each = on_each(parts(LLAMA, "Q4_K_M"), answer.placement.layers)
        assert sum(answer.placement.layers) == 80
        assert each[0] <= 32 * GIB
        assert each[1] <= 16 * GIB

    def test_one_card_takes_a_part(self) -> None:
        """As many layers as 24 GiB hold: one more would not fit. The rest is in RAM, and the rows say so."""
        answer = self.fit(card(0))
        placement = answer.placement
        assert (answer.fits, placement.mode) == ("partial", "gpu_and_cpu")
        (count,) = placement.layers
        gpu = sum(row.bytes for row in answer.rows if row.device != "host")
        assert 0 < count < 80
        assert gpu == placement.gpu_bytes <= 24 * GIB
        assert gpu + max(parts(LLAMA, "Q4_K_M").layer_bytes) > 23 * GIB
        assert sum(row.bytes for row in answer.rows if row.device == "host") == placement.host_bytes

    def test_ram_must_hold_the_rest(self) -> None:
        """20 GiB are left over for the host: 16 GiB of RAM do not do."""
        answer = self.fit(card(0), ram=16.0)
        assert (answer.fits, answer.placement.mode) == ("no", "none")

    def test_the_embedding_is_no_matter_of_the_gpu(self) -> None:
        """A card that holds all that lies on the GPU is enough, if RAM holds the embedding and the process."""
        need = gpucheck.estimate(LLAMA, "Q4_K_M")
        on_gpu = sum(row.bytes for row in need.rows if row.device == "gpu")
        exact = card(0, memory=GpuMemory(usable_bytes=on_gpu))
        assert on_gpu < need.memory.total_bytes
        answer = gpucheck.fit(box(exact), LLAMA, "Q4_K_M")
        assert (answer.fits, answer.placement.mode, answer.placement.gpu_bytes) == ("tight", "one_gpu", on_gpu)
        assert answer.placement.host_bytes == need.memory.total_bytes - on_gpu
        assert "in RAM" in answer.reasons[1]
        less = card(0, memory=GpuMemory(usable_bytes=on_gpu - 1))
        assert gpucheck.fit(box(less), LLAMA, "Q4_K_M").fits == "partial"
        assert gpucheck.fit(box(exact, ram=0.5), LLAMA, "Q4_K_M").fits == "no"


class TestExperts:
    """A mixture of experts on a card that is too small for it."""

    def test_the_experts_stay_on_the_host(self) -> None:
        """All layers of gpt-oss-120b are on the card; the experts of the first ones are in RAM, as few as it takes."""
        answer = gpucheck.fit(box(card(0), ram=96.0), "openai/gpt-oss-120b", "MXFP4")
        placement = answer.placement
        assert (answer.fits, placement.layers, placement.total_layers) == ("partial", (36,), 36)
        assert 0 < placement.experts_on_host < 36
        found = parts("openai/gpt-oss-120b", "MXFP4")
        assert placement.gpu_bytes <= 24 * GIB
        assert placement.gpu_bytes + 2 * max(found.expert_bytes) > 24 * GIB
        moved = sum(found.expert_bytes[: placement.experts_on_host])
        assert placement.host_bytes > moved > 24 * GIB


class TestTold:
    """Options that say what the GPU holds are obeyed."""

    def test_layers(self) -> None:
        """n_gpu_layers 20 are the head and the last 19 layers, although the card has room for more."""
        answer = gpucheck.fit(box(card(0)), LLAMA, "Q4_K_M", options={"n_gpu_layers": 20})
        assert (answer.fits, answer.placement.layers) == ("partial", (19,))
        need = gpucheck.estimate(LLAMA, "Q4_K_M", options={"n_gpu_layers": 20})
        assert answer.memory.total_bytes == need.memory.total_bytes

    def test_more_layers_than_the_card_holds(self) -> None:
        """What was asked for does not fit, and nothing else is answered instead."""
        answer = gpucheck.fit(box(card(0)), LLAMA, "Q4_K_M", options={"n_gpu_layers": 70})
        assert (answer.fits, answer.placement.mode) == ("no", "none")

    def test_experts(self) -> None:
        """n_cpu_moe 10 leaves the experts of ten layers to the host."""
        answer = gpucheck.fit(box(card(0, 48.0)), "Qwen/Qwen3-30B-A3B", "Q8_0", options={"n_cpu_moe": 10})
        assert (answer.fits, answer.placement.layers, answer.placement.experts_on_host) == ("partial", (48,), 10)

    def test_the_cpu(self) -> None:
        """Backend cpu leaves the card alone, and RAM decides."""
        answer = gpucheck.fit(box(card(0, 48.0)), LLAMA, "Q4_K_M", options={"backend": "cpu"})
        assert (answer.placement.mode, answer.placement.gpu_bytes, answer.memory.available_bytes) == (
            "cpu",
            0,
            64 * GIB,
        )
        assert "RAM has" in answer.reasons[1]
        assert "useful part" not in answer.reasons[1]

    def test_a_cache_that_is_not_offloaded(self) -> None:
        """The layers on the cards weigh less by their cache."""
        kept, away = parts(LLAMA, "Q4_K_M"), parts(LLAMA, "Q4_K_M", offload_kqv=False)
        assert kept.layer_bytes[0] - away.layer_bytes[0] == 8192 * 4096


@pytest.mark.parametrize("engine", ["llama.cpp", "ollama"])
def test_whole_layers_tell_what_sums_cannot(engine: str) -> None:
    """Where the sum of several cards suffices but a layer finds no place, the answer is not that it fits."""
    workload = Workload(parse_reference(LLAMA), find_quantization("bf16"), Setting(engine=engine))
    found = workload.layered()
    assert found
    largest = max(found.parts.layer_bytes)
    room = (found.parts.device_bytes + 10 * largest - 1) / GIB  # nine layers a card, and nearly a tenth
    gpus = [card(index, room) for index in range(8)]
    total = workload.need()(8)
    assert sum(row.bytes for row in total.rows if row.device != "host") <= 8 * int(room * GIB) + 8 * largest
    placed = workload.placed(effective_memory(box(*gpus, ram=1024.0)))
    assert placed.fits == "partial"
    assert all(count <= 9 for count in placed.placement.layers)
