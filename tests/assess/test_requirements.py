"""Requirements held against machines: met, not met, or not to be determined, and never guessed."""

from __future__ import annotations

import msgspec
import pytest

import gpucheck
from gpucheck.assess.category import categorise
from gpucheck.assess.requirements.outcome import Outcome, Requirements
from gpucheck.machine.types import Drivers, Flops, Machine, Mig, NvLink
from gpucheck.probes.facts import Cpu, Environment, Framework, NvidiaDriver, Place, Platform, ProbeIssue, Toolkits
from gpucheck.units import GIB
from tests.assess.machines import box, card
from tests.running import machine


def ask(found: Machine, **demands: object) -> Requirements:
    """The answers of a machine."""
    return gpucheck.require(categorise(found), **demands)


def one(found: Machine, **demands: object) -> Outcome:
    """The first outcome."""
    return ask(found, **demands).outcomes[0]


def live(found: Machine, **facts: object) -> Machine:
    """The machine as a live one, with further facts."""
    return msgspec.structs.replace(found, source="live", platform=Platform(os="linux", arch="x86_64"), **facts)


@pytest.mark.parametrize(
    ("demand", "answer"),
    [("16GiB", "met"), ("16GB", "met"), ("15GiB", "met"), ("17GiB", "not_met"), ("24GB", "not_met")],
)
def test_nominal_memory_of_a_t4(demand: str, answer: str) -> None:
    """A card of 16 GB that reports 15,360 MiB has 16 GiB nominally."""
    found = one(machine("card-t4"), min_vram=demand)
    assert (found.answer, found.found) == (answer, "16 GB nominal, 15.0 GiB reported (Tesla T4)")
    assert found.source == "gpus[0].memory.total_bytes, reported"


def test_reported_memory_of_a_t4() -> None:
    """As reported it has 15."""
    assert one(machine("card-t4"), min_reported_vram="16GiB").answer == "not_met"
    assert one(machine("card-t4"), min_reported_vram="15GiB").answer == "met"


def test_requirements_hold_for_the_same_gpu() -> None:
    """One card with the memory and another with the capability do not meet both; each alone is met."""
    mixed = box(card(0, 48, compute_capability="7.5"), card(1, 8, compute_capability="8.9"))
    assert one(mixed, min_vram="24GiB").answer == "met"
    assert one(mixed, min_compute_capability="8.0").answer == "met"
    both = ask(mixed, min_vram="24GiB", min_compute_capability="8.0")
    assert both.answer == "not_met"
    assert [outcome.answer for outcome in both.outcomes].count("not_met") == 1


def test_count_of_gpus_that_meet_the_rest() -> None:
    """`min_gpus` GPUs must each meet the rest; `gpus` and `max_gpus` count all that can be used."""
    three = box(card(0, 24), card(1, 24), card(2, 8))
    assert ask(three, min_gpus=2, min_vram="24GiB").answer == "met"
    failed = ask(three, min_gpus=3, min_vram="24GiB")
    assert [outcome.answer for outcome in failed.outcomes] == ["met", "not_met"]
    assert failed.outcomes[1].found is not None
    assert "GPU 2" in failed.outcomes[1].found
    assert [one(three, gpus=text).answer for text in ("3", ">=2,<=3", "2", "<3")] == [
        "met",
        "met",
        "not_met",
        "not_met",
    ]
    assert ask(three, gpus=">=3", min_vram="24GiB").answer == "not_met"
    assert [one(three, max_gpus=number).answer for number in (3, 2)] == ["met", "not_met"]


def test_total_memory_is_of_the_gpus_that_suit() -> None:
    """Cards of another maker are not added to those that are asked for."""
    mixed = box(card(0, 24), card(1, 24, vendor="AMD"))
    assert ask(mixed, min_total_vram="48GiB").answer == "met"
    assert ask(mixed, min_total_vram="48GiB", vendor="nvidia").answer == "not_met"
    assert ask(mixed, min_total_free_vram="40GiB").answer == "met"


def test_memory_that_is_not_known() -> None:
    """A size that nobody told makes the answer unknown, with the reason, unless another GPU decides it."""
    silent = box(card(0, None))
    found = one(silent, min_vram="16GiB")
    assert (found.answer, found.found) == ("unknown", None)
    assert found.reason
    assert one(box(card(0, None), card(1, 24)), min_vram="16GiB").answer == "met"
    assert ask(silent, min_vram="16GiB", vendor="amd").answer == "not_met"
    assert one(box(card(0, None), card(1, 24)), min_total_vram="20GiB").answer == "met"
    assert one(box(card(0, None), card(1, 24)), min_total_vram="40GiB").answer == "unknown"


def test_free_memory_is_bounded_by_all_of_it() -> None:
    """Free memory that is not known is less than what is asked for where all of it is."""
    memory = card(0, 16).memory
    silent = card(0, 16, memory=msgspec.structs.replace(memory, free_bytes=None, usable_bytes=None))
    assert one(box(silent), min_free_vram="20GiB").answer == "not_met"
    assert one(box(silent), min_free_vram="12GiB").answer == "unknown"
    assert one(box(silent), min_total_free_vram="20GiB").answer == "not_met"


def test_no_gpu_at_all() -> None:
    """Where the bus shows no GPU, what is asked of one is not met: nothing is unknown about it."""
    found = machine("vm-no-gpu")
    answers = ask(found, min_vram="1GiB", min_gpus=1, min_total_vram="1GiB", dtypes="fp32", nvlink=True)
    assert {(outcome.answer, outcome.found) for outcome in answers.outcomes} == {("not_met", "no GPU")}
    assert ask(found, max_gpus=0, gpus="0").answer == "met"


def test_a_bus_that_could_not_be_read() -> None:
    """A silent bus is not an empty one: neither a least nor a greatest number is known."""
    silent = live(box(), issues=(ProbeIssue("no_permission", "/sys/bus/pci/devices", "denied"),))
    answers = ask(silent, min_vram="1GiB", min_gpus=1, max_gpus=0, gpus="0", min_total_vram="1GiB", min_driver="550")
    assert {outcome.answer for outcome in answers.outcomes} == {"unknown"}
    assert all("denied" in (outcome.reason or "") for outcome in answers.outcomes)
    with_card = msgspec.structs.replace(silent, gpus=(card(0, 24),))
    assert [one(with_card, min_vram=size).answer for size in ("24GiB", "48GiB")] == ["met", "unknown"]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("driver-mismatch", "unknown"), ("container-lost-gpus", "unknown"), ("driver-missing", "not_met"),
        ("nouveau-bound", "not_met"), ("container-without-gpus", "not_met"), ("compute-prohibited", "not_met"),
        ("h100-mig-empty", "not_met"), ("amd-no-kfd-permission", "not_met"), ("wsl2-shadowed-library", "unknown"),
        ("gpus-hidden", "not_met"), ("kubernetes-pod", "met"), ("slurm-job", "met"),
    ],
)  # fmt: skip
def test_present_is_not_usable(name: str, answer: str) -> None:
    """A card that no process can use meets nothing; where NVML does not answer nobody knows whether one can."""
    found = one(machine(name), min_vram="4GiB")
    assert found.answer == answer
    assert answer != "unknown" or found.reason


def test_a_broken_interface_does_not_hide_what_is_decided() -> None:
    """With NVML silent, a card that is too small is too small."""
    assert one(machine("driver-mismatch"), min_vram="48GiB").answer == "not_met"
    assert one(machine("driver-mismatch"), min_vram="24GiB").answer == "unknown"


def test_remedy_of_the_finding() -> None:
    """What a finding explains has the finding's remedy, with its code."""
    found = one(machine("driver-missing"), min_vram="4GiB")
    assert found.remedy is not None
    assert found.remedy.endswith("(GC201)")
    assert one(machine("card-t4"), min_vram="4GiB").remedy is None


@pytest.mark.parametrize(
    ("name", "demands", "answer"),
    [
        ("card-t4", {"vendor": "nvidia"}, "met"), ("card-t4", {"vendor": "amd,intel"}, "not_met"),
        ("card-t4", {"gpu": "T4"}, "met"), ("card-t4", {"gpu": "T400"}, "not_met"),
        ("card-gh200", {"gpu": "H200"}, "not_met"),
        ("card-a40", {"gpu": "A4000"}, "not_met"), ("card-a100", {"gpu": "A100"}, "met"),
        ("card-h100-sxm", {"gpu": ["A100", "H100"]}, "met"), ("laptop-4090", {"gpu": "RTX 4090"}, "not_met"),
        ("card-t4", {"min_category": "Mid-range"}, "met"), ("card-t4", {"min_category": "High-end"}, "not_met"),
        ("card-rtx-4090", {"min_category": "Mid-range"}, "not_met"),
        ("card-rtx-4090", {"min_category": "Budget"}, "met"),
        ("card-k80", {"min_category": "Consumer"}, "not_met"), ("card-k80", {"category": "Budget"}, "met"),
        ("card-t4", {"compute_capability": ">=7.0,<8.0"}, "met"),
        ("card-t4", {"max_compute_capability": "7.0"}, "not_met"),
        ("amd-rx7900xtx", {"min_compute_capability": "7.0"}, "not_met"), ("amd-rx7900xtx", {"gfx": "gfx1100"}, "met"),
        ("card-t4", {"gfx": "gfx1100"}, "not_met"), ("card-t4", {"min_bandwidth": "320GB/s"}, "met"),
        ("card-t4", {"min_bandwidth": "400GB/s"}, "not_met"), ("card-t4", {"min_tflops": {"fp16": 65}}, "met"),
        ("card-t4", {"min_tflops": {"fp16": 65, "bf16": 1}}, "not_met"), ("card-t4", {"dtypes": "fp16,int8"}, "met"),
        ("card-t4", {"dtypes": "bf16"}, "not_met"), ("card-rtx-4090", {"dtypes": "bf16,fp8"}, "met"),
        ("card-a100", {"dtypes": "fp8"}, "not_met"), ("amd-rx7900xtx", {"dtypes": "bf16"}, "met"),
        ("amd-rx7900xtx", {"dtypes": "fp8"}, "not_met"), ("amd-rx9060xt", {"dtypes": "fp8"}, "met"),
        ("h100-x8", {"nvlink": True}, "met"), ("card-t4", {"nvlink": True}, "not_met"),
        ("nvlink-without-bridge", {"nvlink": True}, "not_met"), ("h100-mig", {"mig_profile": "3g.40gb"}, "met"),
        ("h100-mig", {"mig_profile": "7g.80gb"}, "not_met"), ("h100-mig", {"min_vram": "80GiB"}, "not_met"),
        ("card-t4", {"min_driver": "550"}, "met"), ("card-t4", {"driver": ">=550,<570"}, "not_met"),
        ("card-t4", {"min_cuda": "12.8"}, "met"), ("card-t4", {"min_cuda": "13.0"}, "not_met"),
        ("vm-no-gpu", {"min_driver": "1"}, "not_met"), ("apple-m4-max-128", {"mps": True}, "met"),
        ("card-t4", {"mps": True}, "not_met"), ("torch-cpu-build", {"framework": "torch@cuda"}, "not_met"),
        ("torch-cpu-build", {"framework": "torch@cpu"}, "met"),
        ("torch-cpu-build", {"framework": "torch@usable"}, "not_met"),
        ("deep-healthy", {"framework": "torch>=2.4@cu128"}, "met"),
        ("deep-healthy", {"framework": "torch>=3"}, "not_met"),
        ("card-t4", {"framework": "torch"}, "not_met"), ("card-t4", {"framework": "no-such-thing"}, "unknown"),
        ("card-t4", {"os": "linux", "arch": "amd64"}, "met"), ("card-t4", {"os": "windows"}, "not_met"),
        ("card-t4", {"cpu_features": "avx2"}, "met"), ("xeon-without-avx2", {"cpu_features": "avx2"}, "not_met"),
        ("card-t4", {"cpu_features": "avx2,sgx"}, "unknown"), ("container-4gib", {"min_ram": "4GiB"}, "met"),
        ("container-4gib", {"min_ram": "8GiB"}, "not_met"), ("docker-small-shm", {"min_shm": "1GiB"}, "not_met"),
        ("card-t4", {"no_findings": "error"}, "met"), ("driver-missing", {"no_findings": "error"}, "not_met"),
        ("driver-missing", {"no_findings": "error", "ignore_findings": "GC201"}, "met"),
    ],
)  # fmt: skip
def test_fixtures(name: str, demands: dict[str, object], answer: str) -> None:
    """Each key of the vocabulary, on machines whose answer is known."""
    assert ask(machine(name), **demands).answer == answer


def test_simulated_machines_have_no_software() -> None:
    """What a simulated machine cannot have an answer to is unknown, not missing."""
    found = gpucheck.simulate("2x H100 80GB HBM3", ram="64GiB")
    for demands in ({"min_driver": "550"}, {"nvlink": True}, {"min_disk": "1GiB"}, {"framework": "torch"},
                    {"min_rocm": "6.0"}, {"cpu_features": "avx2"}):  # fmt: skip
        assert ask(found, **demands).answer == "unknown", demands
    assert ask(found, min_gpus=2, min_vram="80GiB", min_ram="64GiB").answer == "met"


def test_host_facts() -> None:
    """Cores are those that may be used, memory is the machine's or the limit, disks are where models go."""
    places = (Place("models", "/m", 10 * GIB, 5 * GIB), Place("shared memory", "/dev/shm", GIB, 0))
    found = live(
        box(ram=64, limit=16),
        cpu=Cpu(usable_cores=1.5, logical_cores=8),
        storage=places,
        environment=Environment(path="/venv", python="3.12"),
    )
    met = {"min_cpu_cores": 1.5, "min_ram": "16GiB", "min_free_ram": "16GiB", "min_disk": "5GiB", "min_shm": "1GiB",
           "python_version": ">=3.11"}  # fmt: skip
    assert ask(found, **met).answer == "met"
    not_met = {"min_cpu_cores": 2, "min_ram": "17GiB", "min_free_ram": "17GiB", "min_disk": "6GiB", "min_shm": "2GiB",
               "python_version": "<3.12"}  # fmt: skip
    assert {outcome.answer for outcome in ask(found, **not_met).outcomes} == {"not_met"}
    assert one(found, python_version=">=3.12.4").answer == "unknown"


def test_frameworks_of_unknown_build() -> None:
    """A build that nobody told is unknown; a version that decides it is not met all the same."""
    torch = Framework("torch", "2.4.0", None, usable=None)
    found = live(box(card()), frameworks=(torch,), environment=Environment(path="/venv", python="3.12"))
    assert one(found, framework="torch@cuda").answer == "unknown"
    assert one(found, framework="torch@usable").answer == "unknown"
    assert one(found, framework="torch>=2.5@cuda").answer == "not_met"
    assert one(found, framework="torch>=2.4").answer == "met"


def test_toolkits_and_drivers_that_are_not_known() -> None:
    """A driver without a version is unknown; a toolkit that is nowhere is not met."""
    found = live(
        box(card()), drivers=Drivers(nvidia=NvidiaDriver(library_version="550.1")), toolkits=Toolkits(rocm="6.4.1")
    )
    assert one(found, min_driver="550").answer == "unknown"
    assert one(found, min_cuda_toolkit="12.0").answer == "not_met"
    assert [one(found, min_rocm=version).answer for version in ("6.4", "7.0")] == ["met", "not_met"]


def test_models_on_gpus_and_without() -> None:
    """On the GPUs together; in RAM where there is none; over both only where that is allowed."""
    found = box(card(0, 24), ram=256)
    assert one(found, model="8b@q4").answer == "met"
    assert one(found, model="70b@q4").answer == "not_met"
    assert one(found, model="70b@q4", allow_offload=True).answer == "met"
    assert one(box(card(0, 24), card(1, 24)), model="70b@q4").answer == "met"
    assert one(box(ram=256), model="70b@q4").answer == "met"
    assert one(box(ram=8), model="70b@q4").answer == "not_met"
    assert one(box(card(0, 24), ram=None), model="8b@q4").answer == "met"
    assert one(box(card(0, None)), model="8b@q4").answer == "unknown"


def test_ram_does_not_stand_in_for_a_broken_gpu() -> None:
    """A model that would fit in RAM is not met beside a card without a driver, and unknown where NVML is silent."""
    assert one(machine("driver-missing"), model="3b@q4").answer == "not_met"
    assert one(machine("driver-mismatch"), model="3b@q4").answer == "unknown"
    assert one(machine("vm-no-gpu"), model="3b@q4").answer == "met"


def test_speed_is_not_determined_yet() -> None:
    """A least speed leaves a model that fits unknown, and one that does not is not met."""
    found = one(box(card(0, 24)), model={"model": "8b@q4", "min_tok_s": 20})
    assert found.answer == "unknown"
    assert found.reason is not None
    assert "speed" in found.reason
    assert one(box(card(0, 24)), model="70b@q4", min_tok_s=20).answer == "not_met"


def test_settings_are_for_models_that_name_none() -> None:
    """A context beside the models is that of those without their own."""
    answers = ask(box(card(0, 24)), model=["8b@q4", {"model": "8b@q4", "context": 4096}], context=1_000_000)
    assert [outcome.answer for outcome in answers.outcomes] == ["not_met", "met"]
    assert answers.outcomes[1].required == "8b@q4 fits (4,096 tokens)"


def test_any_of_several() -> None:
    """One alternative is enough, together with what is demanded beside them."""
    either = [{"vendor": "nvidia", "min_vram": "40GiB"}, {"vendor": "amd"}]
    assert ask(box(card(0, 48)), any=either).answer == "met"
    assert ask(box(card(0, 24)), any=either).answer == "not_met"
    assert ask(box(card(0, None)), any=either).answer == "unknown"
    apart = box(card(0, 48, compute_capability="7.5"), card(1, 8, vendor="AMD"))
    assert ask(apart, min_compute_capability="7.0", any=[{"vendor": "amd"}]).answer == "not_met"
    assert ask(apart, min_compute_capability="7.0", any=[{"vendor": "amd"}, {"min_vram": "40GiB"}]).answer == "met"


def test_false_demands_nothing() -> None:
    """A flag that is false takes a demand back."""
    with pytest.raises(gpucheck.UsageError, match="nothing is demanded"):
        ask(box(), nvlink=False)
    assert len(ask(box(), nvlink=False, max_gpus=0).outcomes) == 1


def test_mistakes_of_arguments_are_told_together() -> None:
    """Each wrong argument is named, and a near key suggested."""
    with pytest.raises(gpucheck.UsageError) as error:
        ask(box(), min_vrm="1GiB", min_gpus=0, any=[{"vendor": "3dfx"}])
    assert "did you mean min_vram" in str(error.value)
    assert "min_gpus: expected a whole number" in str(error.value)
    assert "any[0].vendor: expected nvidia" in str(error.value)


def test_slices_and_links() -> None:
    """A MIG device counts as one GPU and its card does not; a card whose links nobody asked about is unknown."""
    slices = [card(index, 20, kind="mig", mig=Mig(profile="2g.20gb", parent=0)) for index in (1, 2)]
    cut = box(card(0, 80, mig=Mig(mode="enabled")), *slices)
    assert [one(cut, gpus=number).answer for number in ("2", "3")] == ["met", "not_met"]
    asked = live(
        box(card(0, nvlink=NvLink(active_links=0))), drivers=Drivers(nvidia=NvidiaDriver("570", source="nvml"))
    )
    assert one(asked, nvlink=True).answer == "not_met"
    assert one(live(box(card())), nvlink=True).answer == "unknown"


def test_a_rate_shows_the_data_type() -> None:
    """A data type with a rate is computed; one without is known by the generation, or unknown."""
    ada = card(0, compute_capability="8.9", flops=Flops(fp16=1e14))
    assert one(box(ada), dtypes="fp16,fp8,bf16").answer == "met"
    assert one(box(ada), dtypes="fp4").answer == "not_met"
    assert one(box(card(0)), dtypes="bf16").answer == "unknown"
    assert one(box(ada), min_tflops="fp8=100").answer == "unknown"
