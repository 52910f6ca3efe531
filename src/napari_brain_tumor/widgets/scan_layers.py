"""Which of a viewer's layers is which sequence of which study, without Qt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from napari.layers import Image, Layer

from napari_brain_tumor import io
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.layers import SequenceTag
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor.widgets.study_queue import OpenStudy


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An image layer that may be a sequence: the role that it claims, its case and its place."""

    layer: Layer
    role: Role | None
    case: str | None
    grid: Grid


def candidates(all_layers: Iterable[Layer]) -> list[Candidate]:
    """The image layers among a viewer's layers that hold one volume."""
    images = [layer for layer in all_layers if isinstance(layer, Image) and not layer.rgb and layer.ndim in (2, 3)]
    return [_candidate(layer) for layer in images if layers.MAP_KEY not in layer.metadata]


def _candidate(layer: Layer) -> Candidate:
    layer_view = layers.view(layer)
    tag = layer_view.tag if isinstance(layer_view.tag, SequenceTag) else None
    role, case = (tag.role, tag.case) if tag is not None else (None, None)
    return Candidate(layer, role or io.role_in_name(layer.name), case, layer_view.grid)


def match_roles(scans: Sequence[Candidate], near: Layer | None = None) -> dict[Role, Layer]:
    """Which layer is which sequence: those of one case; scans that were opened one by one, if they lie on one grid.

    Parameters
    ----------
    scans : sequence of Candidate
        In the viewer's order.
    near : Layer, optional
        A layer of the case that is meant, such as the selected one; the newest case where it tells no role.
    """
    telling = [scan for scan in scans if scan.role is not None]
    if not telling:
        return {}
    anchor = next((scan for scan in telling if scan.layer is near), telling[-1])
    matched: dict[Role, Layer] = {}
    for scan in [anchor, *(scan for scan in telling if _belongs(scan, anchor, telling))]:
        if scan.role is not None:
            matched.setdefault(scan.role, scan.layer)
    return {role: matched[role] for role in ROLES if role in matched}


def _belongs(scan: Candidate, anchor: Candidate, telling: Sequence[Candidate]) -> bool:
    """Whether a layer is of the anchor's case. A case of several scans is complete; scans opened one by one are not."""
    if not scan.grid.same_place(anchor.grid):
        return False
    return scan.case == anchor.case or (is_single(scan, telling) and is_single(anchor, telling))


def is_single(scan: Candidate, telling: Sequence[Candidate]) -> bool:
    """Whether a scan was opened by itself, so that it may belong together with others that were."""
    return scan.case is None or sum(other.case == scan.case for other in telling) == 1


def open_studies(scans: Sequence[Candidate]) -> list[OpenStudy]:
    """The studies among the layers, each with its scans; a second scan of a role is left out."""
    studies: list[OpenStudy] = []
    used: set[int] = set()
    for scan in scans:
        matched = match_roles(scans, scan.layer) if scan.role is not None else {}
        if matched and not used & {id(layer) for layer in matched.values()}:
            used |= {id(layer) for layer in matched.values()}
            studies.append(OpenStudy.of(matched))
    return studies


def short_name(layer: Layer) -> str:
    """What tells a layer from others in few letters: its role before its case."""
    tag = layers.sequence_tag(layer)
    if tag is not None and tag.role is not None and layer.name.startswith(f"{tag.case} {tag.role}"):
        return f"{tag.role} · {tag.case}"
    return layer.name
