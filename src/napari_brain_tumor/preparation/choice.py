"""Rules that choose a candidate for each role, and explanations why the others are not used."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from napari_brain_tumor.errors import DuplicateRoleError, RoleError
from napari_brain_tumor.io.sequence_words import role_named
from napari_brain_tumor.preparation.candidates import Candidate
from napari_brain_tumor.study import ROLES, Role

LEAVE_OUT: Final = "-"
"""Used instead of a number to leave out a role."""
_WHOLE_MM: Final = 100.0
"""Smallest coverage of the slices of a whole-brain scan."""
_MORE: Final = 1.1
"""Ratio of slice numbers or voxel volumes above which they count as different."""

Picks = Mapping[str, str | int] | None


_ALIKE: Final = "nothing tells them apart"


@dataclass(frozen=True, slots=True)
class Rule:
    """A selection rule: a candidate wins if its `rank` is higher by more than `ratio`; `words` describes this."""

    statement: str
    rank: Callable[[Candidate], float]
    words: Callable[[Candidate, Candidate], str]
    ratio: float = 1.0


def _covers(candidate: Candidate) -> float:
    return float(candidate.covered_mm is None or candidate.covered_mm >= _WHOLE_MM)


def _later(candidate: Candidate) -> float:
    return float("".join(letter for letter in candidate.acquired if letter.isdecimal()).ljust(14, "0")[:14])


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        f"slices that cover {_WHOLE_MM:.0f} mm before those that cover less",
        _covers,
        lambda best, other: f"covers {other.covered_mm or 0:.0f} mm only",
    ),
    Rule("3D before 2D", lambda one: float(one.is_3d), lambda best, other: "2D, the other is 3D"),
    Rule(
        "more slices before fewer",
        lambda one: one.slices,
        lambda best, other: f"{other.slices} slices, the other has {best.slices}",
        _MORE,
    ),
    Rule("original before derived", lambda one: float(not one.derived), lambda best, other: "derived from another one"),
    Rule(
        "smaller voxels before larger",
        lambda one: 1 / one.voxel_mm3 if one.voxel_mm3 else 0.0,
        lambda best, other: "larger voxels",
        _MORE,
    ),
    Rule("a later repeat before an earlier one", _later, lambda best, other: "repeated later"),
)
"""Rules in order of precedence; if none of them decides between candidates, the one with the first number is used."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A candidate and the decision about it.

    Parameters
    ----------
    used_as : Role or None
        None if it is not used.
    rivals : tuple of str
        Numbers of other candidates for the same role, unless it was picked by hand.
    tied : bool
        Whether no rule prefers it to one of these.
    """

    candidate: Candidate
    used_as: Role | None
    why: str
    rivals: tuple[str, ...] = ()
    tied: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The decisions about all candidates of an examination, in their order."""

    choices: tuple[Choice, ...]

    @property
    def by_role(self) -> dict[Role, Candidate]:
        """The candidates that are used, in the order of roles."""
        used = {choice.used_as: choice.candidate for choice in self.choices}
        return {role: used[role] for role in ROLES if role in used}

    @property
    def tied(self) -> bool:
        """Whether for some role no rule could decide between several candidates."""
        return any(choice.tied for choice in self.choices)

    @property
    def notes(self) -> tuple[str, ...]:
        """For roles with several candidates: which one is used and why."""
        return tuple(
            f"{choice.candidate.number}, {choice.candidate.name!r}, is used as {choice.used_as}: {choice.why}. "
            f"To use another one: --series {choice.used_as}=NUMBER."
            for choice in self.choices
            if choice.rivals
        )

    def rows(self) -> tuple[dict[str, str], ...]:
        """The table as text, for records, the command line and windows."""
        return tuple(
            {
                "number": choice.candidate.number,
                "name": choice.candidate.name,
                "plane": choice.candidate.plane,
                "size": choice.candidate.size,
                "agent": choice.candidate.contrast_agent,
                "times": choice.candidate.times,
                "scanned": choice.candidate.acquired,
                "role": choice.used_as or "",
                "why": choice.why,
            }
            for choice in self.choices
        )


def select(candidates: Sequence[Candidate], picks: Picks = None) -> Selection:
    """Decide which role each candidate is used for, if any.

    Parameters
    ----------
    candidates : sequence of Candidate
        The candidates of one examination.
    picks : mapping of role to number or name, optional
        Candidates to use for these roles instead of those chosen by the rules; `"-"` leaves out a role.

    Raises
    ------
    RoleError
        If no candidate has a role, or a pick matches no candidate or one that cannot be used.
    DuplicateRoleError
        If a pick matches several candidates, or the candidates are from several examinations.
    """
    picked = _picked_roles(candidates, picks or {})
    picked_ids = {id(candidate) for candidate in picked.values() if candidate is not None}
    open_roles = [role for role in ROLES if role not in picked]
    free = [
        candidate
        for candidate in candidates
        if candidate.role in open_roles and not candidate.problem and id(candidate) not in picked_ids
    ]
    free = _of_one_examination(free, [candidate for candidate in picked.values() if candidate is not None], candidates)
    rankings = {role: _Ranking(candidate) for role, candidate in picked.items() if candidate is not None}
    for role in open_roles:
        fitting = [candidate for candidate in free if candidate.role == role]
        if fitting:
            rankings[role] = _ranked(fitting)
    if not rankings:
        msg = "No series or file states which sequence it is. Pick them: series={...} in Python, --series in the shell."
        raise RoleError(f"{msg}\n{listing(candidates)}")
    return Selection(tuple(_choice(candidate, rankings, picked, free) for candidate in candidates))


def listing(candidates: Iterable[Candidate]) -> str:
    """Return one line of text for each candidate."""
    described = ((c.title, c.plane, c.size, c.acquired, c.role or c.reason) for c in candidates)
    return "\n".join("  " + " · ".join(filter(None, words)) for words in described)


def _picked_roles(candidates: Sequence[Candidate], picks: Mapping[str, str | int]) -> dict[Role, Candidate | None]:
    picked: dict[Role, Candidate | None] = {}
    for text, name in picks.items():
        role = role_named(text)
        if role in picked:
            raise DuplicateRoleError(f"The role {role} is given twice. A study has one of each.")
        picked[role] = None if str(name).strip() == LEAVE_OUT else _picked(candidates, str(name), role)
    used = [id(candidate) for candidate in picked.values() if candidate is not None]
    if len(set(used)) < len(used):
        raise RoleError("One series is picked for two roles. Pick another one for one of them.")
    return picked


def _picked(candidates: Sequence[Candidate], name: str, role: Role) -> Candidate:
    plain = _plain(name)
    steps: tuple[Callable[[Candidate], Iterable[str]], ...] = (
        lambda candidate: (candidate.number,),
        lambda candidate: (candidate.name,),
        lambda candidate: candidate.aliases,
    )
    for names in steps:
        fitting = [candidate for candidate in candidates if plain in map(_plain, names(candidate))]
        if len(fitting) > 1:
            numbers = ", ".join(candidate.number for candidate in fitting)
            msg = f"{name!r} fits {len(fitting)} of them for {role}: pick one by its number, {numbers}."
            raise DuplicateRoleError(f"{msg}\n{listing(candidates)}")
        if fitting and fitting[0].problem:
            raise RoleError(f"{fitting[0].title} was picked for {role} but cannot be used: {fitting[0].problem}")
        if fitting:
            return fitting[0]
    raise RoleError(f"There is no series or file {name!r} for {role}. There are:\n{listing(candidates)}")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _of_one_examination(
    free: Sequence[Candidate], chosen_series: Sequence[Candidate], candidates: Sequence[Candidate]
) -> list[Candidate]:
    """Return the candidates of the examination that was picked from; raises if that is ambiguous."""
    picked = {candidate.examination for candidate in chosen_series}
    if picked:
        return [candidate for candidate in free if candidate.examination in picked]
    present = list(dict.fromkeys(candidate.examination for candidate in free))
    if len(present) > 1:
        msg = (
            f"There are series of {len(present)} examinations. Name the folder of one of them, or pick a series of it: "
            'series={"T1c": NUMBER} in Python, --series T1c=NUMBER in the shell.'
        )
        raise DuplicateRoleError(f"{msg}\n{listing(candidates)}")
    return list(free)


@dataclass(frozen=True, slots=True, eq=False)
class _Ranking:
    """Candidates of one role ranked by the rules: the best, and for each other the rule that excludes it, if any."""

    best: Candidate
    rivals: tuple[tuple[Candidate, Rule | None], ...] = ()

    @property
    def tied(self) -> tuple[Candidate, ...]:
        """Candidates that no rule excludes."""
        return tuple(rival for rival, rule in self.rivals if rule is None)

    def rule_against(self, candidate: Candidate) -> Rule | None:
        """Return the rule that excludes a rival."""
        return next(rule for rival, rule in self.rivals if rival is candidate)


def _ranked(fitting: Sequence[Candidate]) -> _Ranking:
    """Apply the rules in turn; each excludes candidates that are clearly worse than the best of the remaining ones."""
    left = list(fitting)
    dropped: dict[int, Rule] = {}
    for rule in RULES:
        least = max(map(rule.rank, left)) / rule.ratio
        dropped |= {id(rival): rule for rival in left if rule.rank(rival) < least}
        left = [rival for rival in left if rule.rank(rival) >= least]
    return _Ranking(left[0], tuple((rival, dropped.get(id(rival))) for rival in fitting if rival is not left[0]))


def _choice(
    candidate: Candidate,
    rankings: Mapping[Role, _Ranking],
    picked: Mapping[Role, Candidate | None],
    free: Sequence[Candidate],
) -> Choice:
    for role, ranking in rankings.items():
        if ranking.best is candidate:
            return Choice(candidate, role, "picked") if role in picked else _best_of(role, ranking)
    return Choice(candidate, None, _why_not(candidate, rankings, picked, free))


def _best_of(role: Role, ranking: _Ranking) -> Choice:
    best, tied = ranking.best, ranking.tied
    reasons: dict[str, list[str]] = {}
    for rival, rule in ranking.rivals:
        reasons.setdefault(_ALIKE if rule is None else rule.statement, []).append(rival.number)
    why = "; ".join((best.reason, *(f"before {', '.join(numbers)}: {reason}" for reason, numbers in reasons.items())))
    return Choice(best, role, why, tuple(rival.number for rival, _ in ranking.rivals), tied=bool(tied))


def _why_not(
    candidate: Candidate,
    rankings: Mapping[Role, _Ranking],
    picked: Mapping[Role, Candidate | None],
    free: Sequence[Candidate],
) -> str:
    if candidate.role is None:
        return candidate.reason
    if candidate.problem:
        return f"cannot be used: {candidate.problem}"
    if candidate.role in picked:
        in_its_place = picked[candidate.role]
        return (
            f"{candidate.role} is left out"
            if in_its_place is None
            else f"{in_its_place.number} was picked for {candidate.role}"
        )
    if not any(candidate is other for other in free):
        return "of another examination"
    ranking = rankings[candidate.role]
    rule = ranking.rule_against(candidate)
    why = rule.words(ranking.best, candidate) if rule is not None else _ALIKE
    return f"{ranking.best.number} is taken for {candidate.role}: {why}"
