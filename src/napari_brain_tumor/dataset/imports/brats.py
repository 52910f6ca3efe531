"""BraTS folders of any year: one folder a case, with the truth among its files.

BraTS-TCGA of TCIA has `TCGA-CS-4941_1996.09.02_t1Gd.nii.gz` with two labels, of which the corrected one counts.
2012-2016 have a folder for every sequence (`VSD.Brain.XX.O.MR_Flair.684/...mha`, truth `...OT...`), 2017-2022 files
such as `Brats18_2013_2_1_t1ce.nii.gz`, since 2023 `BraTS-GLI-00012-001-t1c.nii.gz`. What the integers mean is told by
the names; where these do not tell, opening the label asks for the schema.
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
    """The cases with a truth in a BraTS folder, of one case or of many.

    Parameters
    ----------
    root : Path
        Folder of the data set, of a part such as `HGG`, or of one case.

    Returns
    -------
    tuple of FoundCase
        In the order of their folders; cases without truth, such as those of the validation phase, are left out.
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
    """Role to file, for the years that gave each sequence a folder of its own."""
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
