"""The words for labels, each beside those that look like it and mean something else."""

import pytest

from napari_brain_tumor.errors import LabelSchemaError
from napari_brain_tumor.io.study_folder import dataset_labels
from napari_brain_tumor.label_schemas import guess_schema, schema_named
from napari_brain_tumor.label_words import meaning_of

WORDS = {
    "tumor w/o enhancement": "non-enhancing",
    "non\u2011enhancing": "non-enhancing",
    "nEnh": "non-enhancing",
    "edema (ED)": "edema",
    "edema+NET": None,
    "edema around ET": None,
    "tumor excl. edema": None,
    "enhancing vessel": None,
    "pseudo-enhancing": None,
    "previously enhancing": None,
    "prior tumor": None,
    "radiation necrosis": None,
    "edema": "edema",
    "Edema": "edema",
    "oedema": "edema",
    "peritumoral edema": "edema",
    "peritumoral_oedema": "edema",
    "peritumoral edematous/invaded tissue": "edema",
    "ED": "edema",
    "SNFH": "edema",
    "surrounding non-enhancing FLAIR hyperintensity": "edema",
    "surrounding nonenhancing FLAIR hyperintensity": "edema",
    "FLAIR hyperintensity": "edema",
    "enhancing": "enhancing",
    "enhancing tumor": "enhancing",
    "enhancing tumour": "enhancing",
    "Gd-enhancing tumor": "enhancing",
    "GD-enhancing tumor (ET)": "enhancing",
    "contrast-enhancing tumor": "enhancing",
    "enhancing core": "enhancing",
    "enhanced": "enhancing",
    "ET": "enhancing",
    "non-enhancing": "non-enhancing",
    "Non Enhancing": "non-enhancing",
    "nonenhancing": "non-enhancing",
    "non_enhancing_tumor": "non-enhancing",
    "not enhancing": "non-enhancing",
    "unenhancing core": "non-enhancing",
    "non-enhancing tumor": "non-enhancing",
    "non-enhancing tumor core": "non-enhancing",
    "non-contrast-enhancing tumor": "non-enhancing",
    "necrosis": "non-enhancing",
    "necrotic tumor core": "non-enhancing",
    "necrotic core and non-enhancing tumor core": "non-enhancing",
    "necrotic and non-enhancing tumor": "non-enhancing",
    "NCR/NET": "non-enhancing",
    "NCR": "non-enhancing",
    "NET": "non-enhancing",
    "NETC": "non-enhancing",
    "cystic component": "non-enhancing",
    "resection cavity": "resection cavity",
    "Resection Cavity (RC)": "resection cavity",
    "RC": "resection cavity",
    "tumor core": "tumour core",
    "tumour core": "tumour core",
    "TC": "tumour core",
    "enhancing and non-enhancing tumor": "tumour core",
    "necrosis and enhancing tumor": "tumour core",
    "whole tumor": "whole tumour",
    "whole_tumour": "whole tumour",
    "WT": "whole tumour",
    "tumor": "tumour",
    "glioma": "tumour",
    "FLAIR abnormality": "tumour",
    "non-enhancing T2/FLAIR signal abnormality": "edema and non-enhancing",
    "edema and non-enhancing": "edema and non-enhancing",
    "background": "background",
    "everything else": "background",
    "non-tumor": "background",
    "no tumour": "background",
    "ignore": "ignore",
    # Left open.
    "label 1": None,
    "": None,
    "edema and enhancing tumor": None,
    "network": None,
    "edited": None,
    "hyperenhancing": None,
    "CE tumor": "enhancing",
    "non-CE tumor": "non-enhancing",
    "NCET": "non-enhancing",
    "TumorCore": "tumour core",
    "NonEnhancingTumor": "non-enhancing",
    # A negation of something else than enhancement is not understood, so nothing is concluded.
    "no edema": None,
    "tumor without edema": None,
    "tumor excluding edema": None,
    "non-necrotic core": None,
    "solid non-necrotic tumor": None,
    "lack of enhancement": None,
    "everything but enhancing": None,
    "enhancing tumor without necrosis": None,
    "hypoenhancing tumor": None,
    "minimally enhancing": None,
    "score": None,
}


def test_numbers_that_no_label_has_are_no_labels():
    texts = {str(2**64): "edema", "9" * 5000: "edema", "256": "edema", "1": "enhancing tumor"}
    assert dataset_labels({"labels": texts}) == {"1": "enhancing tumor"}


@pytest.mark.parametrize(("text", "meaning"), WORDS.items())
def test_words_mean_one_label_or_leave_it_open(text, meaning):
    assert meaning_of(text) == meaning


MSD_LIKE = {"1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}


@pytest.mark.parametrize(
    ("labels", "to_class"),
    [
        ({"0": "background", **MSD_LIKE}, {1: 1, 2: 2, 3: 3}),
        ({"background": 0, "edema": 1, "non-enhancing": 2, "enhancing": 3}, {1: 1, 2: 2, 3: 3}),
        ({"1": "enhancing tumor", "2": "edema", "3": "non-enhancing core"}, {1: 3, 2: 1, 3: 2}),
        ({"background": 0, "enhancing": 1, "peritumoral edema": 2, "Non Enhancing": 3}, {1: 3, 2: 1, 3: 2}),
        ({"background": "0", "enhancing": "1", "edema": "2", "necrosis": "3"}, {1: 3, 2: 1, 3: 2}),
        ({"1": "NCR/NET", "2": "ED", "4": "ET"}, {1: 2, 2: 1, 4: 3}),
        ({"ET": 3, "NETC": 1, "SNFH": 2, "RC": 4, "background": 0}, {1: 2, 2: 1, 3: 3, 4: 4}),
        ({"1": "necrosis", "2": "edema", "3": "non-enhancing", "4": "enhancing"}, {1: 2, 2: 1, 3: 2, 4: 3}),
        ({"1": "ET", "2": "NET", "3": "CC", "4": "ED"}, {1: 3, 2: 2, 3: 2, 4: 1}),
        ({"whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": [3]}, {1: 1, 2: 2, 3: 3}),
        ({"background": 0, "whole tumor": [1, 2, 3], "tumor core": [1, 3], "enhancing tumor": 3}, {1: 2, 2: 1, 3: 3}),
        ({"edema": [2], "enhancing": [1], "non-enhancing": [3]}, {1: 3, 2: 1, 3: 2}),
        ({"background": 0, "edema": 1, "non-enhancing": 2, "enhancing": 3, "ignore": 4}, {1: 1, 2: 2, 3: 3}),
        ({"edema": 1.0, "non-enhancing": 2.0, "enhancing": 3.0}, {1: 1, 2: 2, 3: 3}),
    ],
)
def test_words_of_dataset_json_decide_whatever_their_order(labels, to_class):
    told = dataset_labels({"labels": labels})
    schema = guess_schema(set(to_class), "case.nii.gz", told)
    assert schema.to_class == to_class
    assert schema.known_regions == ("WT", "TC", "ET")
    # The name is enough to find the schema again, as sidecars must.
    assert schema_named(schema.name).to_class == to_class


@pytest.mark.parametrize(
    ("labels", "regions", "names"),
    [
        ({"1": "tumor"}, ("WT",), {1: "whole tumour"}),
        ({"1": "whole tumor"}, ("WT",), {1: "whole tumour"}),
        ({"2": "FLAIR abnormality"}, ("WT",), {1: "whole tumour"}),
        ({"1": "edema", "2": "tumor core"}, ("WT", "TC"), {1: "edema", 2: "tumour core"}),
        (
            {"1": "non-enhancing T2/FLAIR signal abnormality", "2": "contrast-enhancing tumor"},
            ("WT", "ET"),
            {1: "edema and non-enhancing", 3: "enhancing"},
        ),
        ({"1": "necrosis", "2": "enhancing tumor"}, ("TC", "ET"), {2: "non-enhancing", 3: "enhancing"}),
        ({"1": "enhancing tumor"}, ("ET",), {3: "enhancing"}),
    ],
)
def test_fewer_labels_tell_fewer_regions(labels, regions, names):
    schema = guess_schema({int(v) for v in labels}, "case.nii.gz", labels)
    assert schema.known_regions == regions
    assert schema.class_names == names
    assert schema_named(schema.name).known_regions == regions


@pytest.mark.parametrize(
    "labels",
    [
        {"1": "edema", "2": "tumor"},
        {"1": "edema"},
        {"1": "edema", "2": "class two", "3": "enhancing"},
        {"1": "edema and enhancing", "2": "necrosis"},
        {"1": "whole tumor", "2": "enhancing"},
        {"1": "edema", "2": "necrosis", "3": "active tumor"},
        {"1": "edema (non-enhancing)", "2": "necrosis", "3": "enhancing"},
    ],
)
def test_words_that_leave_a_label_open_are_a_question(labels):
    with pytest.raises(LabelSchemaError, match=r"do not state clearly.*schema="):
        guess_schema({1, 2}, "case.nii.gz", labels)


def test_ignored_voxels_are_not_background():
    told = dataset_labels({"labels": {"background": 0, "edema": 1, "non-enhancing": 2, "enhancing": 3, "ignore": 4}})
    with pytest.raises(LabelSchemaError, match="4"):
        guess_schema({1, 2, 3, 4}, "case.nii.gz", told)


NAMES = {
    ("Brats17_TCIA_201_1_seg", (1, 2, 4)): "BraTS2018-2022",
    ("Brats18_CBICA_AAB_1_seg", (1, 2, 4)): "BraTS2018-2022",
    ("BraTS20_Training_001_seg", (1, 2, 4)): "BraTS2018-2022",
    ("BraTS2021_01477_seg", (1, 2, 4)): "BraTS2018-2022",
    ("brats_2013_pat0001_1_OT", (1, 2, 3, 4)): "BraTS2012-2016",
    ("VSD.Brain.XX.O.OT.54517", (1, 2, 3, 4)): "BraTS2012-2016",
    ("BraTS-GLI-00005-000-seg", (1, 2, 3)): "BraTS2023",
    ("BraTS-GLI-00005-001-seg", (1, 2, 3)): "BraTS2023",
    ("BraTS-GLI-02078-103-seg", (1, 2, 3, 4)): "BraTS2024-post-treatment",
    ("BraTS-GLI-02078-100-seg", (1, 2, 3)): "BraTS2024-post-treatment",
    ("BraTS-SSA-00002-000-seg", (1, 2, 3)): "BraTS2023",
    ("BraTS-MEN-00004-000-seg", (1, 2, 3)): "BraTS2023",
    ("BraTS-MET-00110-000-seg", (1, 2, 3)): "BraTS2023",
    ("BraTS-MET-00110-000-seg", (1, 2, 3, 4)): "BraTS2024-post-treatment",
    ("BraTS-PED-00001-000-seg", (1, 2, 3, 4)): "BraTS2024-pediatric",
    ("BraTS-PED-00001-000-seg", (4,)): "BraTS2024-pediatric",
    ("TCGA-CS-4941_1996.09.02_GlistrBoost", (1, 2, 4)): "BraTS2018-2022",
    ("TCGA-CS-4941_1996.09.02_GlistrBoost_ManuallyCorrected", (1, 2)): "BraTS2018-2022",
    ("TCGA_CS_4941_19960909_3_mask.tif", (255,)): "LGG-binary",
    # The same name in 2023 and 2024, with other numbers.
    ("BraTS-PED-00001-000-seg", (1, 2, 3)): None,
    ("BraTS-PED-00001-000-seg", (1,)): None,
    ("BraTS-PED-00001-000-seg", ()): None,
    # Values that contradict the name.
    ("BraTS-GLI-00005-000-seg", (1, 2, 4)): None,
    ("Brats18_CBICA_AAB_1_seg", (1, 2, 3)): None,
    # Names of other makers.
    ("BRATS_001", (1, 2, 3)): None,
    ("BraTS-MEN-RT-0001-1_gtv", (1,)): None,
    ("my_brats18_case", (1, 2, 4)): None,
    ("BraTS17patient", (1, 2, 4)): None,
}


@pytest.mark.parametrize(("name", "values"), NAMES)
def test_file_name_tells_the_schema_or_is_a_question(name, values):
    expected = NAMES[name, values]
    if expected is None:
        with pytest.raises(LabelSchemaError, match=r"Name the (right )?schema"):
            guess_schema(values, name)
    else:
        assert guess_schema(values, name).name == expected


@pytest.mark.parametrize("text", ["1=edema,1=enhancing", "x=edema", "300=edema", "1=edema,2=something", "1=foo"])
def test_schema_that_is_spelt_out_wrongly_is_refused(text):
    with pytest.raises(LabelSchemaError):
        schema_named(text)
