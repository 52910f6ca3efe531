"""Who a case belongs to: one key per patient, however a data set spells it."""

import re
from typing import Final

from napari_brain_tumor.errors import DatasetError

__all__ = ["patient_key"]

_VISITS: Final = (
    # TCGA barcodes: Kaggle appends the date of the scan, TCIA the sample.
    r"^(?P<patient>TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})(?:-.*)?$",
    # BraTS since 2023: the last number is the visit.
    r"^(?P<patient>BRATS-[A-Z]{2,5}-\d{4,5})-\d{3}$",
    r"^(?P<patient>UPENN-GBM-\d{5})-\d{2}$",
    r"^(?P<patient>UCSF-PDGM-\d{3,5})(?:-FU\d*[A-Z]*)?$",
    # BIDS: what follows the subject is session, run and so on.
    r"^(?P<patient>SUB-[A-Z0-9]+)(?:-(?:SES|RUN|ACQ|CE|REC|SPACE)-.*)?$",
)
"""Names that tell patient and visit, in the spelling of `_plain`."""


def patient_key(name: str) -> str:
    """The key under which every spelling of a patient's name is the same.

    Case and separators do not matter, and the dates and visits of the naming schemes that are known are left out.

    Raises
    ------
    DatasetError
        If the name has no letter or digit.

    Examples
    --------
    >>> patient_key("TCGA_CS_4941_19960909"), patient_key("tcga-cs-4941"), patient_key("BraTS-GLI-00012-001")
    ('TCGA-CS-4941', 'TCGA-CS-4941', 'BRATS-GLI-00012')
    """
    plain = _plain(name)
    if not plain:
        msg = f"{name!r} names no patient: give a name or number with at least one letter or digit."
        raise DatasetError(msg)
    for pattern in _VISITS:
        if (match := re.match(pattern, plain)) is not None:
            return match["patient"]
    return plain


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "-", name.upper()).strip("-")
