"""BraTS folders of any year: one folder per case, with the reference segmentation among its files.

BraTS-TCGA from TCIA has files like `TCGA-CS-4941_1996.09.02_t1Gd.nii.gz` with two labels, of which the corrected one is
used. The 2012-2016 editions have a folder for every sequence (`VSD.Brain.XX.O.MR_Flair.684/...mha`, reference
`...OT...`), 2017-2022 files such as `Brats18_2013_2_1_t1ce.nii.gz`, and since 2023 `BraTS-GLI-00012-001-t1c.nii.gz`.
The label schema follows from the names; if not, it must be given when the label is opened.
"""

import re
from pathlib import Path

from napari_brain_tumor.dataset.imports.found_case import FoundCase, Roles, folders_with_images, grade_in_path
from napari_brain_tumor.errors import RoleError
from napari_brain_tumor.io.case_names import folder_name
from napari_brain_tumor.io.read_labels import preferred_labels
from napari_brain_tumor.io.reading import images_in
from napari_brain_tumor.io.study_folder import names_segmentation, role_named
from napari_brain_tumor.io.volume import short_name


def find_brats(root: Path) -> tuple[FoundCase, ...]:
    """Return the cases with a reference segmentation in a BraTS folder of one or more cases.

    Parameters
    ----------
    root : Path
        Folder of the data set, of a part such as `HGG`, or of one case.

    Returns
    -------
    tuple of FoundCase
        Sorted by folder; cases without a reference segmentation, such as those for validation, are left out.
    """
    cases = []
    for folder, images in folders_with_images(root):
        for label in preferred_labels([image for image in images if _is_truth(image)]):
            in_own_folder = len(images) == 1 and _is_vsd(label)
            case = folder.parent if in_own_folder else folder
            name = folder_name(case) if case != root or not in_own_folder else short_name(label)
            cases.append(_case(name, case, label, grade_in_path(case, root), in_own_folder))
    return tuple(cases)


def _case(name: str, case: Path, label: Path, grade: str | None, own_folders: bool) -> FoundCase:
    try:
        return FoundCase(name, case, label, _roles_of_folders(case) if own_folders else None, grade=grade)
    except RoleError as error:
        return FoundCase(name, case, label, problem=str(error))


def _is_truth(path: Path) -> bool:
    return names_segmentation(path) or (_is_vsd(path) and re.search(r"[._]OT[._]", path.name) is not None)


def _is_vsd(path: Path) -> bool:
    return path.name.startswith("VSD.Brain")


def _roles_of_folders(case: Path) -> Roles:
    """Return role to file, for editions in which each sequence had its own folder."""
    files = [image for folder in sorted(p for p in case.iterdir() if p.is_dir()) for image in images_in(folder)]
    matches = [(re.search(r"\.MR_([A-Za-z0-9]+)\.", f.name), f) for f in files]
    roles: dict[str, str | Path | int] = {}
    for match, file in matches:
        if match is not None:
            role = role_named(match[1])
            if role in roles:
                raise RoleError(f"{case.name} has {role} twice: {roles[role]} and {file}. Keep only one of them.")
            roles[role] = file
    return roles
