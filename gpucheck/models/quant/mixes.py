"""File mixes of GGUF: which type a file called Q4_K_M has in each role.

The rules are those of llama.cpp's quantizer (src/llama-quant.cpp, commit 0c1e570), stated as data.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

When = Literal[
    "always",
    "early",  # the first eighth of the layers
    "early_sixteenth",
    "more",  # first and last eighth, and every third layer between
    "middle",  # all but the first and the last eighth
    "first_two",
    "first_four",
    "grouped",  # at least four query heads share a key head
    "grouped_or_experts",  # that, or at least four experts
    "eight",  # exactly eight experts
    "eight_more",
    "plain",  # the file was made without an importance matrix
    "early_plain",  # both
    "early_imatrix",  # as early, in a file made with one
]
Rules = tuple[tuple[When, str], ...]


class Mix(Struct, frozen=True, kw_only=True, cache_hash=True):
    """Types by role: the first rule that holds for a layer decides, `base` where none does.

    `low` marks the mixes of about two bits and less, which treat eight experts in their own way and count layers
    by tensors. `imatrix`: files are usually made with an importance matrix, because the type needs one or because
    those who publish it use one.
    """

    base: str
    output: str = "Q6_K"
    embedding: str | None = None
    value: Rules = ()
    key: Rules = ()
    query: Rules = ()
    attention_output: Rules = ()
    down: Rules = ()
    gate_up: Rules = ()
    low: bool = False
    imatrix: bool = False


_EIGHT: Rules = (("eight", "Q5_K"),)  # the attention output of Mixtral


def _low(base: str, embedding: str, better: str, attention_output: str | None) -> Mix:
    """A mix of IQ1 or IQ2 types: `better` for the first down projections and for values of few heads."""
    rest: Rules = (("always", attention_output),) if attention_output else ()
    return Mix(
        base=base,
        output="Q5_K",
        embedding=embedding,
        value=(("grouped_or_experts", "Q4_K"), ("always", better)),
        key=(("eight", "Q4_K"),),
        attention_output=(*_EIGHT, *rest),
        down=(("early", better),),
        low=True,
        imatrix=True,
    )


def _iq4(base: str) -> Mix:
    """IQ4_NL and IQ4_XS."""
    return Mix(
        base=base,
        value=(("grouped", "Q5_K"),),
        attention_output=_EIGHT,
        down=(("early_plain", "Q5_K"),),
        imatrix=True,
    )


MIXES: dict[str, Mix] = {
    "Q1_0": Mix(base="Q1_0"),
    "Q2_0": Mix(base="Q2_0", embedding="Q4_K"),
    "TQ1_0": Mix(base="TQ1_0", embedding="Q4_K"),
    "TQ2_0": Mix(base="TQ2_0", embedding="Q4_K"),
    "IQ1_S": _low("IQ1_S", "Q2_K", "Q2_K", "IQ2_XXS"),
    "IQ1_M": _low("IQ1_M", "Q2_K", "Q2_K", "IQ2_XXS"),
    "IQ2_XXS": _low("IQ2_XXS", "Q2_K", "Q2_K", None),
    "IQ2_XS": _low("IQ2_XS", "Q2_K", "Q2_K", None),
    "IQ2_S": _low("IQ2_XS", "IQ3_S", "IQ3_S", "IQ3_S"),
    "IQ2_M": _low("IQ2_S", "IQ3_S", "IQ3_S", "IQ3_S"),
    "Q2_K_S": Mix(base="Q2_K", value=(("grouped", "Q4_K"),), down=(("early", "Q4_K"),), imatrix=True),
    "Q2_K": Mix(
        base="Q2_K",
        value=(("grouped", "Q4_K"), ("always", "Q3_K")),
        attention_output=(*_EIGHT, ("always", "Q3_K")),
        down=(("always", "Q3_K"),),
    ),
    "IQ3_XXS": Mix(
        base="IQ3_XXS",
        output="Q5_K",
        embedding="IQ3_S",
        value=(("grouped", "Q4_K"), ("plain", "IQ3_S")),
        key=(("always", "IQ2_S"),),
        query=(("always", "IQ2_S"),),
        attention_output=(*_EIGHT, ("always", "IQ3_S")),
        down=(("early_plain", "Q4_K"), ("plain", "Q3_K")),
        imatrix=True,
    ),
    "IQ3_XS": Mix(
        base="IQ3_S",
        value=(("grouped", "Q4_K"),),
        key=(("always", "IQ3_XXS"),),
        query=(("always", "IQ3_XXS"),),
        attention_output=_EIGHT,
        gate_up=(("middle", "IQ3_XXS"),),
        imatrix=True,
    ),
    "IQ3_S": Mix(base="IQ3_S", value=(("grouped", "Q4_K"),), attention_output=_EIGHT, imatrix=True),
    "IQ3_M": Mix(
        base="IQ3_S",
        value=(("always", "Q4_K"),),
        attention_output=(*_EIGHT, ("always", "Q4_K")),
        down=(("early", "Q4_K"), ("eight_more", "Q4_K")),
        imatrix=True,
    ),
    "Q3_K_S": Mix(base="Q3_K", attention_output=_EIGHT),
    "Q3_K_M": Mix(
        base="Q3_K",
        value=(("first_two", "Q5_K"), ("always", "Q4_K")),
        attention_output=(*_EIGHT, ("always", "Q4_K")),
        down=(("early_sixteenth", "Q5_K"), ("always", "Q4_K")),
    ),
    "Q3_K_L": Mix(
        base="Q3_K",
        value=(("always", "Q5_K"),),
        attention_output=(("eight", "Q3_K"), ("always", "Q5_K")),
        down=(("always", "Q5_K"),),
    ),
    "IQ4_XS": _iq4("IQ4_XS"),
    "IQ4_NL": _iq4("IQ4_NL"),
    "Q4_0": Mix(base="Q4_0", down=(("early_imatrix", "Q4_1"),)),
    "Q4_1": Mix(base="Q4_1"),
    "Q4_K_S": Mix(base="Q4_K", value=(("first_four", "Q5_K"),), attention_output=_EIGHT, down=(("early", "Q5_K"),)),
    "Q4_K_M": Mix(base="Q4_K", value=(("more", "Q6_K"),), attention_output=_EIGHT, down=(("more", "Q6_K"),)),
    "Q5_0": Mix(base="Q5_0", down=(("early_imatrix", "Q5_1"),)),
    "Q5_1": Mix(base="Q5_1"),
    "Q5_K_S": Mix(base="Q5_K"),
    "Q5_K_M": Mix(base="Q5_K", value=(("more", "Q6_K"),), down=(("more", "Q6_K"),)),
    "Q6_K": Mix(base="Q6_K"),
    "Q8_0": Mix(base="Q8_0", output="Q8_0"),
}


def _falcon(name: str) -> Mix:
    """The mix of a Falcon model: no better attention output, other down projections, a head of 8 bits."""
    down, attention_output = _FALCON.get(name, (MIXES[name].down, ()))
    if MIXES[name].low:
        attention_output = MIXES[name].attention_output
    return replace(MIXES[name], output="Q8_0", down=down, attention_output=attention_output)


_FALCON: dict[str, tuple[Rules, Rules]] = {
    "Q3_K_M": ((("early_sixteenth", "Q5_K"), ("more", "Q4_K")), ()),
    "Q3_K_L": ((("always", "Q4_K"),), (("always", "Q4_K"),)),
    "Q4_K_S": ((), ()),
    "Q4_K_M": ((("early_sixteenth", "Q6_K"), ("more", "Q5_K")), ()),
}
FALCON_MIXES: dict[str, Mix] = {name: _falcon(name) for name in MIXES}

# What takes the place of a type whose blocks do not divide a row.
FALLBACKS: dict[str, str] = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_0", "Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
