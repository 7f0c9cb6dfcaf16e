"""The answers to requirements: met, not met, or not to be determined. A pure function of the machine's facts."""

from __future__ import annotations

from collections.abc import Sequence

from gpucheck.assess.requirements.checks_gpus import GPU_CHECKS
from gpucheck.assess.requirements.joint import Standings, needed_of, standings, worst
from gpucheck.assess.requirements.outcome import Met, Outcome
from gpucheck.assess.requirements.told import WORSE, Told
from gpucheck.assess.requirements.vocabulary import VOCABULARY
from gpucheck.assess.requirements.wanted import ANY, Wanted, in_short
from gpucheck.machine.types import Machine


def evaluate(machine: Machine, wanted: Sequence[Wanted]) -> tuple[Outcome, ...]:
    """One outcome for each requirement, in their order.

    Those about a GPU hold together: see `vocabulary`. A missing fact makes an answer unknown only where it could
    change it. An alternative of "any" counts if it holds together with the requirements beside it.
    """
    found = _Judge(machine, wanted)
    return tuple(found.outcome(one) for one in wanted)


class _Judge:
    """One set of requirements held against one machine."""

    def __init__(self, machine: Machine, wanted: Sequence[Wanted]) -> None:
        self._machine = machine
        self._plain = tuple(one for one in wanted if one.key != ANY)
        self._about_gpu = tuple(one for one in self._plain if one.key in GPU_CHECKS)
        self._standings: Standings | None = None

    @property
    def standings(self) -> Standings:
        """The GPUs in the order of choice, worked out when they are first asked for."""
        if self._standings is None:
            self._standings = standings(self._machine, self._about_gpu, needed_of(self._plain))
        return self._standings

    def outcome(self, wanted: Wanted) -> Outcome:
        """The outcome of one requirement."""
        told = self._any(wanted) if wanted.key == ANY else self.told(wanted)
        remedy = None
        if told.answer != "met":
            from gpucheck.assess.requirements.remedies import remedy_for

            remedy = remedy_for(self._machine, wanted, told)
        return Outcome(
            key=wanted.key,
            required=wanted.text,
            answer=told.answer,
            found=told.found,
            source=told.source,
            reason=told.reason,
            remedy=remedy,
            place=wanted.place,
        )

    def told(self, wanted: Wanted) -> Told:
        """What the check of one requirement says."""
        subject = VOCABULARY[wanted.key].subject
        if subject == "gpu":
            return self.standings.told(self._about_gpu.index(wanted))
        if subject in {"number", "total"}:
            from gpucheck.assess.requirements.checks_number import NUMBER_CHECKS

            return NUMBER_CHECKS[wanted.key](self._machine, self.standings, wanted.value)
        if subject == "host":
            from gpucheck.assess.requirements.checks_host import HOST_CHECKS

            return HOST_CHECKS[wanted.key](self._machine, wanted.value)
        if subject == "software":
            from gpucheck.assess.requirements.checks_software import SOFTWARE_CHECKS

            return SOFTWARE_CHECKS[wanted.key](self._machine, wanted.value)
        from gpucheck.assess.requirements import checks_models

        if subject == "model":
            return checks_models.model(self._machine, wanted.value)
        return checks_models.no_findings(self._machine, wanted.value)

    def answer(self) -> Met:
        """The answer to all plain requirements; those about a GPU as a whole."""
        others = [self.told(one).answer for one in self._plain if one.key not in GPU_CHECKS]
        return worst([*others, *([self.standings.answer] if self._about_gpu else ())])

    def _any(self, wanted: Wanted) -> Told:
        """The best of the alternatives."""
        answers = [self._alternative(group) for group in wanted.value]
        best = next(one for one in ("met", "unknown", "not_met") if one in answers)
        if best == "met":
            group = wanted.value[answers.index("met")]
            return Told("met", ", ".join(map(in_short, group)))
        told = "; ".join(self._why(group) for group in wanted.value)
        if best == "unknown":
            return Told("unknown", None, None, told)
        return Told("not_met", told)

    def _alternative(self, group: tuple[Wanted, ...]) -> Met:
        """The answer to an alternative, on the GPUs that must meet the requirements beside it as well."""
        own = {one.key for one in group}
        gpus = [one for one in self._plain if VOCABULARY[one.key].subject in {"gpu", "number"} and one.key not in own]
        if self._about_gpu and self.standings.answer == "not_met":
            gpus = []  # that is told there; here it would hide what is wrong with the alternative
        return _Judge(self._machine, (*gpus, *group)).answer()

    def _why(self, group: tuple[Wanted, ...]) -> str:
        """What keeps an alternative from holding."""
        judge = _Judge(self._machine, group)
        told = [(one, judge.told(one)) for one in group]
        which, bad = max(told, key=lambda pair: WORSE.index(pair[1].answer))
        if bad.answer == "met":
            return f"{', '.join(map(in_short, group))}: not together with the rest"
        return f"{in_short(which)}: {(bad.reason if bad.answer == 'unknown' else bad.found) or bad.reason}"
