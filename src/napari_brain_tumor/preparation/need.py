"""Check whether the sequences of an examination must be prepared before they can be segmented together."""

from collections.abc import Mapping

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import Volume, distinct_grids
from napari_brain_tumor.preparation.together import judge_together
from napari_brain_tumor.study import Role


def why_prepare_grids(grids: Mapping[Role, Grid]) -> str:
    """Explain in a sentence why sequences on these grids must be prepared; empty if they share a grid.

    No voxels are read, so this is fast enough for files dropped onto the window. Sequences of unknown voxel size cannot
    be prepared, and no reason is given for them.
    """
    if any(grid.unit != "mm" for grid in grids.values()):
        return ""
    distinct = distinct_grids(grids)
    return f"The sequences lie on {len(distinct)} different grids." if len(distinct) > 1 else ""


def why_prepare(volumes: Mapping[Role, Volume]) -> str:
    """Explain in a sentence why sequences must be prepared; empty if they share a grid and are aligned.

    If they share a grid, their voxels are compared, which takes a second or two for full-size scans.

    Parameters
    ----------
    volumes : mapping of role to Volume
        Volumes as returned by `open_sequences`. Those of unknown voxel size cannot be prepared.
    """
    grids = {role: volume.grid for role, volume in volumes.items()}
    reason = why_prepare_grids(grids)
    if reason or any(grid.unit != "mm" for grid in grids.values()):
        return reason
    misfits = judge_together({role: volume.array for role, volume in volumes.items()}, grids).misfits
    turned = [
        f"{misfit.role} is rotated by {misfit.degrees:.0f}° and moved by {misfit.shift_mm:.0f} mm" for misfit in misfits
    ]
    return f"The sequences are not aligned: {', '.join(turned)} against {misfits[0].onto}." if turned else ""
