"""Who a case belongs to: one key per patient, however a data set spells it."""

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
        raise DatasetError(f"{name!r} names no patient: give a name or number with at least one letter or digit.")
    for pattern in _VISITS:
        if (match := re.match(pattern, plain)) is not None:
            return match["patient"]
    return plain


_SAME_PERSON: Final = (
    # The numbers of BraTS 2021 stayed when the names changed in 2023.
    (r"^BRATS2021-(\d{5})$", r"BRATS-GLI-\1"),
    # From 2017 to 2019 the year in front changed, and TCIA got a number of its site.
    (r"^BRATS(?:20)?(?:17|18|19)-TCIA\d*-(\d+)-\d+$", r"BRATS-TCIA-\1"),
    (r"^BRATS(?:20)?(?:17|18|19)-(2013|CBICA|TMC)-([A-Z0-9]+)-\d+$", r"BRATS-\1-\2"),
    # Visits, where the name says so, or a number stands before them, as in P7-2019-03-01 and P7-PREOP.
    (r"^(.+?)-SES-[A-Z0-9].*$", r"\1"),
    (r"^(.*\d.*?)-(?:19|20)\d\d-?[01]\d-?[0-3]\d$", r"\1"),
    (
        r"^(.*\d.*?)-(?:BASELINE|INTRAOP|RECURRENCE|(?:PRE|POST)(?:-?(?:OP|SURGERY|TREATMENT|RT))?"
        r"|(?:FU|FOLLOW-?UP|VISIT|TP|TIMEPOINT)-?\d*|(?:WEEK|WK|DAY|MONTH)-?\d+(?:-\d+)?)$",
        r"\1",
    ),
)
"""Names of one person in several years, or at several visits, and what they have in common."""


def person_key(name: str) -> str:
    """The key of the person that a patient's name stands for in every naming scheme that is known.

    Where `patient_key` tells two names apart this may not: it leaves out the year of the challenge, visits and the
    sequence at the end of a file's name. It decides whom a new case belongs to; what a data set has is kept as it is.

    Raises
    ------
    DatasetError
        If the name has no letter or digit.

    Examples
    --------
    >>> person_key("Brats18_TCIA02_135_1") == person_key("BraTS19_TCIA02_135_1")
    True
    >>> person_key("P7_ses-20190301"), person_key("P7_flair"), person_key("P17_flair")
    ('P7', 'P7', 'P17')
    """
    # The sequence first: the schemes that tell patient and visit know nothing behind these.
    key = patient_key(_without_sequence(patient_key(name)))
    for pattern, common in _SAME_PERSON:
        key = re.sub(pattern, common, key)
    return _without_sequence(key)


def _without_sequence(key: str) -> str:
    """`P7-T1-POST` is of P7, whichever sequence it shows; what is nothing but a sequence stays."""
    words = key.split("-")
    for count in range(1, len(words)):
        rest = roles_in(" ".join(words[count:]))
        if rest.role is not None and rest.only_words and re.search(r"\d", "".join(words[:count])):
            return "-".join(words[:count])
    return key


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "-", name.upper()).strip("-")
