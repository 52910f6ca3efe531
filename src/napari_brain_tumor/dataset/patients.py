"""Identify the patient of a case: one key per patient, however its data set spells the name."""

import re
from typing import Final

from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.io.sequence_words import roles_in

_VISITS: Final = (
    # TCGA barcodes: Kaggle appends the date of the scan, TCIA the sample.
    r"^(?P<patient>TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})(?:-.*)?$",
    # BraTS since 2023: the last number is the visit.
    r"^(?P<patient>BRATS-[A-Z]{2,5}-\d{4,5})-\d{3}$",
    r"^(?P<patient>UPENN-GBM-\d{5})-\d{2}$",
    r"^(?P<patient>RHUH-\d{4})-\d$",
    r"^(?P<patient>UCSF-PDGM-\d{3,5})(?:-FU\d*[A-Z]*)?$",
    # BIDS: the subject is followed by session, run and so on.
    r"^(?P<patient>SUB-[A-Z0-9]+)(?:-(?:SES|RUN|ACQ|CE|REC|SPACE)-.*)?$",
)
"""Patterns of names with patient and visit, in the spelling of `_plain`."""


def patient_key(name: str) -> str:
    """Return a key that is the same for every spelling of a patient's name.

    Case and separators are ignored, and dates and visits of known naming schemes are removed.

    Raises
    ------
    DatasetError
        If the name contains no letter or digit.

    Examples
    --------
    >>> patient_key("TCGA_CS_4941_19960909"), patient_key("tcga-cs-4941"), patient_key("BraTS-GLI-00012-001")
    ('TCGA-CS-4941', 'TCGA-CS-4941', 'BRATS-GLI-00012')
    """
    plain = _plain(name)
    if not plain:
        raise DatasetError(f"{name!r} names no patient: give a name or number with at least one letter or digit.")
    for pattern in _VISITS:
        if (match := re.match(pattern, plain)) is not None:
            return match["patient"]
    return plain


_SAME_PERSON: Final = (
    # The numbers of BraTS 2021 were kept when the names changed in 2023.
    (r"^BRATS2021-(\d{5})$", r"BRATS-GLI-\1"),
    # From 2017 to 2019 the year in front changed, and TCIA cases got a site number.
    (r"^BRATS(?:20)?(?:17|18|19)-TCIA\d*-(\d+)-\d+$", r"BRATS-TCIA-\1"),
    (r"^BRATS(?:20)?(?:17|18|19)-(2013|CBICA|TMC)-([A-Z0-9]+)-\d+$", r"BRATS-\1-\2"),
    # Visits, if named as such or preceded by a number, as in P7-2019-03-01 and P7-PREOP.
    (r"^(.+?)-SES-[A-Z0-9].*$", r"\1"),
    (r"^(.*\d.*?)-(?:19|20)\d\d-?[01]\d-?[0-3]\d$", r"\1"),
    (
        r"^(.*\d.*?)-(?:BASELINE|INTRAOP|RECURRENCE|(?:PRE|POST)(?:-?(?:OP|SURGERY|TREATMENT|RT))?"
        r"|(?:FU|FOLLOW-?UP|VISIT|TP|TIMEPOINT)-?\d*|(?:WEEK|WK|DAY|MONTH)-?\d+(?:-\d+)?)$",
        r"\1",
    ),
)
"""Patterns of names that one person has in several years or at several visits, and their common form."""


def person_key(name: str) -> str:
    """Return the key of the person that a patient's name refers to in any known naming scheme.

    This may be equal for names that differ in `patient_key`, since it ignores the year of the challenge, visits and the
    sequence at the end of a file name. It decides which patient a new case belongs to; existing cases are not changed.

    Raises
    ------
    DatasetError
        If the name contains no letter or digit.

    Examples
    --------
    >>> person_key("Brats18_TCIA02_135_1") == person_key("BraTS19_TCIA02_135_1")
    True
    >>> person_key("P7_ses-20190301"), person_key("P7_flair"), person_key("P17_flair")
    ('P7', 'P7', 'P17')
    """
    # The sequence is removed first, because the patterns for patient and visit expect nothing after these.
    key = patient_key(_without_sequence(patient_key(name)))
    for pattern, common in _SAME_PERSON:
        key = re.sub(pattern, common, key)
    return _without_sequence(key)


def _without_sequence(key: str) -> str:
    """Return the key without its sequence, `P7` from `P7-T1-POST`; a key that is only a sequence is unchanged."""
    words = key.split("-")
    for count in range(1, len(words)):
        rest = roles_in(" ".join(words[count:]))
        if rest.role is not None and rest.only_words and re.search(r"\d", "".join(words[:count])):
            return "-".join(words[:count])
    return key


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "-", name.upper()).strip("-")
