"""Assign a viewer's layers to sequences and studies, without Qt."""

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
    """An image layer that may be a sequence: its role from tag or name, its case and its grid."""

    layer: Layer
    role: Role | None
    case: str | None
    grid: Grid


def candidates(all_layers: Iterable[Layer]) -> list[Candidate]:
    """Return the image layers that hold one volume or slice."""
    images = [layer for layer in all_layers if isinstance(layer, Image) and not layer.rgb and layer.ndim in (2, 3)]
    return [_candidate(layer) for layer in images if layers.MAP_KEY not in layer.metadata]


def _candidate(layer: Layer) -> Candidate:
    layer_view = layers.view(layer)
    tag = layer_view.tag if isinstance(layer_view.tag, SequenceTag) else None
    role, case = (tag.role, tag.case) if tag is not None else (None, None)
    return Candidate(layer, role or io.role_in_name(layer.name), case, layer_view.grid)


def match_roles(scans: Sequence[Candidate], near: Layer | None = None) -> dict[Role, Layer]:
    """Assign layers to sequences: those of one case or, for scans opened one by one, those on one grid.

    Parameters
    ----------
    scans : sequence of Candidate
        In layer order.
    near : Layer, optional
        A layer of the wanted case, such as the selected one; the newest case is used if it has no role.
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
    """Return whether a scan is of the anchor's case. Scans opened one by one may be combined; whole cases may not."""
    if not scan.grid.same_place(anchor.grid):
        return False
    return scan.case == anchor.case or (is_single(scan, telling) and is_single(anchor, telling))


def is_single(scan: Candidate, telling: Sequence[Candidate]) -> bool:
    """Return whether a scan was opened by itself, so that it may belong together with others that were."""
    return scan.case is None or sum(other.case == scan.case for other in telling) == 1


def open_studies(scans: Sequence[Candidate]) -> list[OpenStudy]:
    """Return the studies among the layers, each with its scans; a second scan with the same role is left out."""
    studies: list[OpenStudy] = []
    used: set[int] = set()
    for scan in scans:
        matched = match_roles(scans, scan.layer) if scan.role is not None else {}
        if matched and not used & {id(layer) for layer in matched.values()}:
            used |= {id(layer) for layer in matched.values()}
            studies.append(OpenStudy.of(matched))
    return studies


def short_name(layer: Layer) -> str:
    """Return a short name that distinguishes a layer: its role before its case."""
    tag = layers.sequence_tag(layer)
    if tag is not None and tag.role is not None and layer.name.startswith(f"{tag.case} {tag.role}"):
        return f"{tag.role} · {tag.case}"
    return layer.name
