"""Names as sets of words, so that no card is taken for one that its name contains."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucheck.catalog.names import contains_run, memory_size_gib, names_laptop, ordered_tokens, tokens, vendor_of


@pytest.mark.parametrize(
    ("longer", "shorter"),
    [
        ("NVIDIA GH200 480GB", "NVIDIA H200"),
        ("NVIDIA GB200", "NVIDIA B200"),
        ("NVIDIA L40S", "NVIDIA L40"),
        ("NVIDIA L40", "NVIDIA L4"),
        ("NVIDIA A100", "NVIDIA A10"),
        ("NVIDIA RTX A4000", "NVIDIA A40"),
        ("NVIDIA RTX A3000", "NVIDIA A30"),
        ("Quadro M6000", "Tesla M60"),
        ("Quadro P1000", "Tesla P100"),
        ("NVIDIA T400", "NVIDIA T4"),
        ("NVIDIA A10G", "NVIDIA A10"),
        ("Tesla P100-SXM2-16GB", "Apple M2"),
    ],
)
def test_a_name_within_a_name_is_another(longer, shorter):
    """Names that contain others as text share no deciding word with them."""
    assert shorter.split()[-1].lower() not in tokens(longer)
    assert tokens(longer) != tokens(shorter)


@pytest.mark.parametrize(
    ("glued", "spaced"),
    [
        ("RTX4090", "RTX 4090"),
        ("rtx4090", "NVIDIA GeForce RTX 4090"),
        ("RTX3080Ti", "RTX 3080 Ti"),
        ("RTX 3080Ti", "RTX 3080 Ti"),
        ("5070Ti", "5070 Ti"),
        ("RTX4070Ti SUPER", "RTX 4070 Ti SUPER"),
        ("RTX2080SUPER", "RTX 2080 SUPER"),
        ("GTX1650", "GTX 1650"),
        ("RTXA6000", "RTX A6000"),
        ("RX7900XTX", "AMD Radeon RX 7900 XTX"),
        ("RX7900GRE", "RX 7900 GRE"),
    ],
)
def test_glued_names_come_apart(glued, spaced):
    """A series, number and suffix written together are the same words as written apart."""
    assert ordered_tokens(glued) == ordered_tokens(spaced)


@pytest.mark.parametrize("suffix", ["80GB", "80 GB", "80gb", "80G", "80 g", "80gib", "80 GiB"])
def test_a_memory_size_is_one_word(suffix):
    """However a size is written, it is the same one word."""
    assert ordered_tokens(f"A100 SXM4 {suffix}") == ("a100", "sxm4", "80gb")


@pytest.mark.parametrize(
    ("word", "gib"),
    [("80gb", 80.0), ("144gb", 144.0), ("1.5gb", 1.5), ("24", None), ("gb", None), ("gb200", None), ("80gbx", None)],
)
def test_memory_size_of_a_word(word, gib):
    """Only a number with its unit is a size; GB200 is a chip."""
    assert memory_size_gib(word) == gib


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Intel(R) Arc(TM) A750 Graphics", ("arc", "a750")),
        ("Tesla V100-SXM2-32GB", ("v100", "sxm2", "32gb")),
        ("Quadro RTX 4000", ("quadro", "rtx", "4000")),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", ("rtx", "4090", "laptop")),
        ("NVIDIA GeForce RTX™ 4090.", ("rtx", "4090")),
        ("NVIDIA RTX 6000 Ada Generation", ("rtx", "6000", "ada")),
        ("AMD Instinct MI300X", ("mi300x",)),
        ("NVIDIA TITAN X (Pascal)", ("titan", "x", "pascal")),
        ("", ()),
        ("\x00\x1b[31m…", ("31m",)),
    ],
)
def test_ordered_tokens(name, words):
    """Maker and brand words, marks and punctuation fall away; what tells products apart stays, in order."""
    assert ordered_tokens(name) == words


@pytest.mark.parametrize("word", ["Quadro", "RTX", "Ti", "SUPER", "Laptop", "D", "Ada", "NVL", "PCIe"])
def test_words_that_tell_products_apart_stay(word):
    """A name with such a word is not the name without it."""
    assert tokens(f"X 4080 {word}") == tokens("X 4080") | {word.lower()}


@given(st.permutations(["NVIDIA", "GeForce", "RTX", "4060", "Ti", "16 GB"]))
def test_order_does_not_matter(words):
    """The same words in any order are the same set, with or without the maker."""
    assert tokens(" ".join(words)) == {"rtx", "4060", "ti", "16gb"}


@given(st.text(max_size=200))
@settings(max_examples=300)
def test_any_text_gives_clean_words(name):
    """Any text gives lower-case words without spaces, and brackets around it change nothing."""
    words = ordered_tokens(name)
    assert all(word and word == word.lower() and " " not in word for word in words)
    assert tokens(f"({name})") == tokens(name)


@pytest.mark.parametrize("extra", ["日本", "é", "Ω"])
def test_words_of_any_script_count(extra):
    """A name with a word that no card has is no card's name, in whatever script the word is."""
    assert tokens(f"RTX 4090 {extra}") != tokens("RTX 4090")


@pytest.mark.parametrize(
    ("name", "vendor"),
    [
        ("NVIDIA A100", "NVIDIA"),
        ("GeForce RTX 4090", "NVIDIA"),
        ("Tesla M4", "NVIDIA"),
        ("Radeon RX 7900 XT", "AMD"),
        ("Instinct MI300X", "AMD"),
        ("Intel(R) Arc(TM) A750 Graphics", "Intel"),
        ("Apple M4", "Apple"),
        ("M4", None),
        ("RTX 4090", None),
        ("pineapple", None),
    ],
)
def test_vendor_of(name, vendor):
    """A maker's or brand's word states the maker; a word that contains one does not."""
    assert vendor_of(name) == vendor


@pytest.mark.parametrize(
    ("name", "run", "found"),
    [
        ("Quadro RTX 4000", "RTX 4000", True),
        ("RTX 4000 SFF Ada", "RTX 4000", True),
        ("RTX PRO 4000", "RTX 4000", False),
        ("RTX 4000", "RTX PRO 4000", False),
        ("RTX 4000", "", True),
        ("", "RTX", False),
    ],
)
def test_contains_run(name, run, found):
    """Words match as neighbours only: "RTX 4000" is not in "RTX PRO 4000"."""
    assert contains_run(ordered_tokens(name), ordered_tokens(run)) is found


@pytest.mark.parametrize(
    ("name", "laptop"),
    [
        ("NVIDIA GeForce RTX 4090 Laptop GPU", True),
        ("NVIDIA GeForce RTX 2080 with Max-Q Design", True),
        ("TU104M [GeForce RTX 2080 Mobile]", True),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", False),
        ("NVIDIA GeForce RTX 4090", False),
        ("Automobile", False),
    ],
)
def test_names_laptop(name, laptop):
    """Laptop, Mobile and Max-Q Design say laptop; the Max-Q Workstation Edition is a desktop card."""
    assert names_laptop(name) is laptop
