"""Which candidate is taken for each role, by stated rules, and why the others are passed over."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from napari_brain_tumor.errors import DuplicateRoleError, RoleError
from napari_brain_tumor.io.sequence_words import role_named
from napari_brain_tumor.preparation.candidates import Candidate
from napari_brain_tumor.study import ROLES, Role

__all__ = ["LEAVE_OUT", "RULES", "Choice", "Selection", "select"]

LEAVE_OUT: Final = "-"
"""Instead of a number: take nothing for this role."""
_WHOLE_MM: Final = 100.0
"""What the slices of a scan of the whole brain cover at least."""
_MORE: Final = 1.1
"""Ratio of slices or of voxel volumes from which they count as different."""

Picks = Mapping[str, str | int] | None


_ALIKE: Final = "nothing tells them apart"


@dataclass(frozen=True, slots=True)
class Rule:
    """One of the rules: the higher `rank` is taken, if it is higher by more than `ratio`; `words` say so of two."""

    statement: str
    rank: Callable[[Candidate], float]
    words: Callable[[Candidate, Candidate], str]
    ratio: float = 1.0


def _covers(one: Candidate) -> float:
    return float(one.covered_mm is None or one.covered_mm >= _WHOLE_MM)


def _later(one: Candidate) -> float:
    return float("".join(letter for letter in one.acquired if letter.isdecimal()).ljust(14, "0")[:14])


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        f"slices that cover {_WHOLE_MM:.0f} mm before a part of the head",
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
    Rule("a later repeat before an earlier", _later, lambda best, other: "repeated later"),
)
"""In the order in which they decide between two candidates of a role; where none does, the first number is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A candidate and what becomes of it.

    Parameters
    ----------
    candidate : Candidate
    used_as : Role or None
        None where it is passed over.
    why : str
    rivals : tuple of str
        Numbers of the candidates that could have had its role too, where it was not picked by hand.
    tied : bool
        Whether there is one among them that no rule prefers it to.
    """

    candidate: Candidate
    used_as: Role | None
    why: str
    rivals: tuple[str, ...] = ()
    tied: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What becomes of every candidate of an examination, in their order."""

    choices: tuple[Choice, ...]

    @property
    def by_role(self) -> dict[Role, Candidate]:
        """The candidates that are used, in the order of roles."""
        used = {one.used_as: one.candidate for one in self.choices}
        return {role: used[role] for role in ROLES if role in used}

    @property
    def tied(self) -> bool:
        """Whether some role was given to one of several candidates that no rule tells apart."""
        return any(choice.tied for choice in self.choices)

    @property
    def notes(self) -> tuple[str, ...]:
        """Which candidate is used for a role that others could have had too, and why."""
        return tuple(
            f"{choice.candidate.number}, {choice.candidate.name!r}, is used as {choice.used_as}: {choice.why}. "
            f"To use another one: --series {choice.used_as}=NUMBER."
            for choice in self.choices
            if choice.rivals
        )

    def rows(self) -> tuple[dict[str, str], ...]:
        """The table as words, for records, shells and windows."""
        return tuple(
            {
                "number": one.candidate.number,
                "name": one.candidate.name,
                "plane": one.candidate.plane,
                "size": one.candidate.size,
                "agent": one.candidate.contrast_agent,
                "times": one.candidate.times,
                "scanned": one.candidate.acquired,
                "role": one.used_as or "",
                "why": one.why,
            }
            for one in self.choices
        )


def select(candidates: Sequence[Candidate], picks: Picks = None) -> Selection:
    """Decide what each candidate is used as.

    Parameters
    ----------
    candidates : sequence of Candidate
        Of one examination.
    picks : mapping of role to number or name, optional
        For these roles the given candidates are taken instead of the best by the rules; `"-"` takes none.

    Raises
    ------
    RoleError
        If nothing has a role, or a pick fits no candidate, or cannot be used.
    DuplicateRoleError
        If a pick fits several, or the candidates are of several examinations.
    """
    given = _given(candidates, picks or {})
    taken = {id(one) for one in given.values() if one is not None}
    open_roles = [role for role in ROLES if role not in given]
    free = [one for one in candidates if one.role in open_roles and not one.problem and id(one) not in taken]
    free = _of_one_examination(free, [one for one in given.values() if one is not None], candidates)
    rankings = {role: _Ranking(one) for role, one in given.items() if one is not None}
    for role in open_roles:
        fitting = [one for one in free if one.role == role]
        if fitting:
            rankings[role] = _ranked(fitting)
    if not rankings:
        msg = "No series or file tells which sequence it is. Pick them: series={...} in Python, --series in the shell."
        raise RoleError(f"{msg}\n{listing(candidates)}")
    return Selection(tuple(_choice(one, rankings, given, free) for one in candidates))


def listing(candidates: Iterable[Candidate]) -> str:
    """One line for each candidate."""
    return "\n".join(
        "  " + " · ".join(filter(None, (one.title, one.plane, one.size, one.acquired, one.role or one.reason)))
        for one in candidates
    )


def _given(candidates: Sequence[Candidate], picks: Mapping[str, str | int]) -> dict[Role, Candidate | None]:
    given: dict[Role, Candidate | None] = {}
    for text, wanted in picks.items():
        role = role_named(text)
        if role in given:
            msg = f"The role {role} is given twice. A study has one of each."
            raise DuplicateRoleError(msg)
        given[role] = None if str(wanted).strip() == LEAVE_OUT else _picked(candidates, str(wanted), role)
    used = [id(one) for one in given.values() if one is not None]
    if len(set(used)) < len(used):
        msg = "One series is picked for two roles. Pick another one for one of them."
        raise RoleError(msg)
    return given


def _picked(candidates: Sequence[Candidate], wanted: str, role: Role) -> Candidate:
    plain = _plain(wanted)
    steps: tuple[Callable[[Candidate], Iterable[str]], ...] = (
        lambda one: (one.number,),
        lambda one: (one.name,),
        lambda one: one.aliases,
    )
    for names in steps:
        fitting = [one for one in candidates if plain in map(_plain, names(one))]
        if len(fitting) > 1:
            numbers = ", ".join(one.number for one in fitting)
            msg = f"{wanted!r} fits {len(fitting)} of them for {role}: pick one by its number, {numbers}."
            raise DuplicateRoleError(f"{msg}\n{listing(candidates)}")
        if fitting and fitting[0].problem:
            msg = f"{fitting[0].title} was picked for {role} but cannot be used: {fitting[0].problem}"
            raise RoleError(msg)
        if fitting:
            return fitting[0]
    msg = f"There is no series or file {wanted!r} for {role}. There are:\n{listing(candidates)}"
    raise RoleError(msg)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _of_one_examination(
    free: Sequence[Candidate], given: Sequence[Candidate], candidates: Sequence[Candidate]
) -> list[Candidate]:
    """Those of the examination that was picked from; raises where that is not settled."""
    picked = {one.examination for one in given}
    if picked:
        return [one for one in free if one.examination in picked]
    present = list(dict.fromkeys(one.examination for one in free))
    if len(present) > 1:
        msg = (
            f"There are series of {len(present)} examinations. Name the folder of one of them, or pick a series of it: "
            'series={"T1c": NUMBER} in Python, --series T1c=NUMBER in the shell.'
        )
        raise DuplicateRoleError(f"{msg}\n{listing(candidates)}")
    return list(free)


@dataclass(frozen=True, slots=True, eq=False)
class _Ranking:
    """Candidates of one role by the rules: the best, and of each other the rule by which it drops out, if one does."""

    best: Candidate
    rivals: tuple[tuple[Candidate, Rule | None], ...] = ()

    @property
    def tied(self) -> tuple[Candidate, ...]:
        """Those that no rule drops."""
        return tuple(rival for rival, rule in self.rivals if rule is None)

    def rule_against(self, candidate: Candidate) -> Rule | None:
        """The rule by which a rival drops out."""
        return next(rule for rival, rule in self.rivals if rival is candidate)


def _ranked(fitting: Sequence[Candidate]) -> _Ranking:
    """Rule after rule, those drop out that are clearly worse than the best of those that are left."""
    left = list(fitting)
    dropped: dict[int, Rule] = {}
    for rule in RULES:
        least = max(map(rule.rank, left)) / rule.ratio
        dropped |= {id(rival): rule for rival in left if rule.rank(rival) < least}
        left = [rival for rival in left if rule.rank(rival) >= least]
    return _Ranking(left[0], tuple((rival, dropped.get(id(rival))) for rival in fitting if rival is not left[0]))


def _choice(
    one: Candidate, rankings: Mapping[Role, _Ranking], given: Mapping[Role, Candidate | None], free: Sequence[Candidate]
) -> Choice:
    for role, ranking in rankings.items():
        if ranking.best is one:
            return Choice(one, role, "picked") if role in given else _best_of(role, ranking)
    return Choice(one, None, _why_not(one, rankings, given, free))


def _best_of(role: Role, ranking: _Ranking) -> Choice:
    best, tied = ranking.best, ranking.tied
    reasons: dict[str, list[str]] = {}
    for rival, rule in ranking.rivals:
        reasons.setdefault(_ALIKE if rule is None else rule.statement, []).append(rival.number)
    why = "; ".join((best.reason, *(f"before {', '.join(numbers)}: {reason}" for reason, numbers in reasons.items())))
    return Choice(best, role, why, tuple(rival.number for rival, _ in ranking.rivals), tied=bool(tied))


def _why_not(
    one: Candidate, rankings: Mapping[Role, _Ranking], given: Mapping[Role, Candidate | None], free: Sequence[Candidate]
) -> str:
    if one.role is None:
        return one.reason
    if one.problem:
        return f"cannot be used: {one.problem}"
    if one.role in given:
        taken = given[one.role]
        return f"{one.role} is left out" if taken is None else f"{taken.number} was picked for {one.role}"
    if not any(one is other for other in free):
        return "of another examination"
    ranking = rankings[one.role]
    rule = ranking.rule_against(one)
    why = rule.words(ranking.best, one) if rule is not None else _ALIKE
    return f"{ranking.best.number} is taken for {one.role}: {why}"
