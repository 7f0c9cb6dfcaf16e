"""Visibility variables, as CUDA and ROCm read them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.machine.types import Flops, Gpu, Mig
from gpucheck.machine.visible import apply_visibility
from gpucheck.probes.collect import Issues

UUIDS = ("GPU-9e8d35e3-aaaa", "GPU-9e8d35ff-bbbb", "GPU-01234567-cccc", "GPU-76543210-dddd")


def nvidia(index: int, name: str = "A100", uuid: str | None = None, tflops: float | None = None) -> Gpu:
    """A card of NVIDIA."""
    return Gpu(index, name, "NVIDIA", "ok", "discrete", uuid=uuid or UUIDS[index % 4], flops=Flops(fp32=tflops))


def amd(index: int, uuid: str | None = None) -> Gpu:
    """A card of AMD."""
    return Gpu(index, "MI300X", "AMD", "ok", "discrete", uuid=uuid)


def mig(index: int, parent: int, uuid: str) -> Gpu:
    """A MIG device of a card."""
    return Gpu(index, "MIG", "NVIDIA", "ok", "mig", uuid=uuid, mig=Mig(parent=parent))


FOUR = tuple(nvidia(index) for index in range(4))
CUT = (
    nvidia(0), mig(1, 0, "MIG-aaaa-1"), mig(2, 0, "MIG-aaaa-2"), nvidia(3, uuid="GPU-3333"), mig(4, 3, "MIG-bbbb-1"),
)  # fmt: skip


def visible(gpus: tuple[Gpu, ...], **variables: str) -> list[int]:
    """The numbers of the devices that a process with these variables sees."""
    return [gpu.index for gpu in apply_visibility(gpus, variables, Issues()) if gpu.visible]


class TestCuda:
    """`CUDA_VISIBLE_DEVICES`."""

    @pytest.mark.parametrize(
        ("value", "seen"),
        [
            ("0", [0]),
            ("2,0", [0, 2]),
            ("0,1,2,3", [0, 1, 2, 3]),
            (" 1 , 3 ", [1, 3]),
            ("", []),
            (" ", []),
            ("-1", []),
            ("NoDevFiles", []),
            ("none", []),
            ("void", []),
            ("0,1,-1,3", [0, 1]),
            ("1,4,2", [1]),  # cut at the first that is not there
            ("4,0", []),
            ("0,,1", [0]),
            ("0,x,1", [0]),
            ("99999999999999999999999", []),
            ("0,1,0", []),  # a device named twice: CUDA shows none
            ("2,2", []),
            ("1gpu2,2ampere", [1, 2]),  # numbers are read as C reads them
            ("0 1", [0]),
            ("+1", [1]),
            ("٣", []),
            ("[0]", []),
        ],
    )
    def test_numbers(self, value, seen):
        """Numbers count cards in order; the list ends at the first that names none."""
        assert visible(FOUR, CUDA_VISIBLE_DEVICES=value) == seen

    @pytest.mark.parametrize(
        ("value", "seen"),
        [
            ("GPU-01234567-cccc", [2]),
            ("GPU-0", [2]),
            ("GPU-9e8d35e3", [0]),
            ("GPU-9e8d35", []),  # the beginning of two
            ("GPU-", []),
            ("GPU-01234567-cccc-and-more", []),
            ("GPU-7,GPU-0", [2, 3]),
            ("GPU-7,GPU-x,GPU-0", [3]),
            ("GPU-7,GPU-76", []),  # the same twice
            ("GPU-7,0", [0, 3]),
            ("01234567", []),
        ],
    )
    def test_uuids(self, value, seen):
        """A UUID's beginning names a card if it is that of one only."""
        assert visible(FOUR, CUDA_VISIBLE_DEVICES=value) == seen

    @pytest.mark.parametrize(
        ("value", "seen"),
        [
            ("0", [0, 1, 2]),  # a card with all its slices
            ("1", [3, 4]),
            ("MIG-aaaa-2", [0, 2]),
            ("MIG-bbbb", [3, 4]),
            ("MIG-aaaa", []),  # two begin so
            ("MIG-aaaa-1,MIG-bbbb-1", [0, 1, 3, 4]),
            ("GPU-3333", [3, 4]),
            ("", []),
            ("2", []),  # slices are not counted
        ],
    )
    def test_slices(self, value, seen):
        """A slice is named by its UUID; it is hidden with its card, and a card is not hidden under its slice."""
        assert visible(CUT, CUDA_VISIBLE_DEVICES=value) == seen

    def test_hidden_is_not_absent(self):
        """A hidden card stays in the list, with the variable that hides it as it is set."""
        found = apply_visibility(FOUR[:2], {"CUDA_VISIBLE_DEVICES": "1"}, Issues())
        assert [(gpu.visible, gpu.hidden_by) for gpu in found] == [(False, "CUDA_VISIBLE_DEVICES=1"), (True, None)]
        assert [gpu.usable for gpu in found] == [False, True]

    @pytest.mark.parametrize("variables", [{}, {"NVIDIA_VISIBLE_DEVICES": "none"}, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}])
    def test_other_variables_hide_nothing(self, variables):
        """Without CUDA's own list every card is seen; the container runtime's has done its work before us."""
        assert visible(FOUR, **variables) == [0, 1, 2, 3]

    def test_numbers_of_unlike_cards(self):
        """CUDA counts the fastest card first, which is an assumption that an issue states."""
        cards = (nvidia(0, "T400", tflops=1.1), nvidia(1, "A100", tflops=19.5), nvidia(2, "T400", tflops=1.1))
        issues = Issues()
        found = apply_visibility(cards, {"CUDA_VISIBLE_DEVICES": "0"}, issues)
        assert [gpu.visible for gpu in found] == [False, True, False]
        assert [issue.code for issue in issues.all()] == ["cuda_order_assumed"]
        assert visible(cards, CUDA_VISIBLE_DEVICES="1,2") == [0, 2]

    @pytest.mark.parametrize("value", ["0", "GPU-9e8d35e3"])
    def test_bus_order_needs_no_assumption(self, value):
        """In PCI order, or by UUID, the numbers of unlike cards are certain."""
        cards = (nvidia(0, "T400", tflops=1.1), nvidia(1, "A100", tflops=19.5))
        issues = Issues()
        order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if value == "0" else {}
        found = apply_visibility(cards, {"CUDA_VISIBLE_DEVICES": value, **order}, issues)
        assert [gpu.visible for gpu in found] == [True, False]
        assert issues.all() == ()

    def test_cards_that_cuda_is_not_given_have_no_number(self):
        """A job's numbers count its own cards; those of others are out of reach, not hidden by the variable."""
        others = [msgspec.structs.replace(nvidia(index), state="unreachable") for index in (0, 1)]
        cards = (*others, nvidia(2), nvidia(3))
        found = apply_visibility(cards, {"CUDA_VISIBLE_DEVICES": "1"}, Issues())
        assert [gpu.hidden_by for gpu in found] == [None, None, "CUDA_VISIBLE_DEVICES=1", None]
        assert visible(tuple(others), CUDA_VISIBLE_DEVICES="1") == [1]  # where none is given, all keep their numbers

    def test_unknown_rates_keep_the_order(self):
        """Unlike cards of which no rate is known are counted as they stand."""
        cards = (nvidia(0, "X"), nvidia(1, "Y"))
        assert visible(cards, CUDA_VISIBLE_DEVICES="0") == [0]

    def test_other_makers_cards_are_not_counted(self):
        """CUDA's numbers count NVIDIA's cards only, and hide no Intel or Apple GPU."""
        arc = Gpu(0, "Arc", "Intel", "ok", "discrete")
        assert visible((arc, nvidia(1), nvidia(2)), CUDA_VISIBLE_DEVICES="1") == [0, 2]
        assert visible((arc,), CUDA_VISIBLE_DEVICES="") == [0]

    @given(st.text(alphabet="0123456789,-+ GPUMIGx\x00é", max_size=30))
    def test_any_value_chooses_or_hides(self, value):
        """Any value leaves every card in its place, seen or hidden by it; a slice is seen only with its card."""
        found = apply_visibility(CUT, {"CUDA_VISIBLE_DEVICES": value}, Issues())
        assert [gpu.index for gpu in found] == [0, 1, 2, 3, 4]
        seen = {gpu.index for gpu in found if gpu.visible}
        assert all(gpu.mig.parent in seen for gpu in found if gpu.visible and gpu.kind == "mig")
        assert all((gpu.hidden_by is None) == gpu.visible for gpu in found)

    @given(st.lists(st.integers(0, 5), unique=True, max_size=6))
    def test_a_list_is_cut_at_its_first_invalid_entry(self, numbers):
        """Exactly the numbers before the first that is too high are seen."""
        valid = []
        for number in numbers:
            if number > 3:
                break
            valid.append(number)
        assert visible(FOUR, CUDA_VISIBLE_DEVICES=",".join(map(str, numbers))) == sorted(valid)


class TestRocm:
    """AMD's variables: ROCR's first, then HIP's or CUDA's among what is left."""

    CARDS = tuple(amd(index, f"GPU-{index}abc") for index in range(4))

    @pytest.mark.parametrize(
        ("variables", "seen"),
        [
            ({}, [0, 1, 2, 3]),
            ({"ROCR_VISIBLE_DEVICES": "1,3"}, [1, 3]),
            ({"ROCR_VISIBLE_DEVICES": ""}, []),
            ({"ROCR_VISIBLE_DEVICES": "GPU-2abc"}, [2]),
            ({"HIP_VISIBLE_DEVICES": "2"}, [2]),
            ({"CUDA_VISIBLE_DEVICES": "2"}, [2]),
            ({"HIP_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "3"}, [0]),
            ({"ROCR_VISIBLE_DEVICES": "1,3", "HIP_VISIBLE_DEVICES": "1"}, [3]),
            ({"ROCR_VISIBLE_DEVICES": "3,1", "HIP_VISIBLE_DEVICES": "0"}, [3]),
            ({"ROCR_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "1"}, []),
            ({"ROCR_VISIBLE_DEVICES": "1,3", "CUDA_VISIBLE_DEVICES": "0,1"}, [1, 3]),
            ({"HIP_VISIBLE_DEVICES": "-1"}, []),
            ({"HIP_VISIBLE_DEVICES": "0,0"}, [0]),  # a repetition is passed over
            ({"HIP_VISIBLE_DEVICES": "1gpu"}, []),  # plain numbers only
            ({"HIP_VISIBLE_DEVICES": "0,7,1"}, [0]),
            ({"HIP_VISIBLE_DEVICES": ""}, [0, 1, 2, 3]),
            ({"HIP_VISIBLE_DEVICES": "", "CUDA_VISIBLE_DEVICES": "1"}, [1]),
            ({"CUDA_VISIBLE_DEVICES": ""}, [0, 1, 2, 3]),
        ],
    )
    def test_filters_follow_one_another(self, variables, seen):
        """Each variable counts what the one before has left, in its order; HIP takes an empty one for none."""
        assert visible(self.CARDS, **variables) == seen

    def test_the_first_filter_is_named(self):
        """A card is hidden by the first variable that leaves it out."""
        variables = {"ROCR_VISIBLE_DEVICES": "0,1", "HIP_VISIBLE_DEVICES": "0"}
        found = apply_visibility(self.CARDS[:3], variables, Issues())
        assert [gpu.hidden_by for gpu in found] == [None, "HIP_VISIBLE_DEVICES=0", "ROCR_VISIBLE_DEVICES=0,1"]

    def test_makers_side_by_side(self):
        """CUDA's list is read by both runtimes, each counting its own cards."""
        cards = (nvidia(0), nvidia(1), amd(2), amd(3))
        assert visible(cards, CUDA_VISIBLE_DEVICES="1") == [1, 3]
        assert visible(cards, CUDA_VISIBLE_DEVICES="1", HIP_VISIBLE_DEVICES="0") == [1, 2]
        assert visible(cards, CUDA_VISIBLE_DEVICES="") == [2, 3]
