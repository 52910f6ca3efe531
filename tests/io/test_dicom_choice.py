"""Which series is which sequence: listed by what they are, picked by a person, never taken in an order not shown."""

import os

import pytest

from dicom_phantoms import ROOT, SAGITTAL, write_series, write_stack
from napari_brain_tumor.errors import DuplicateRoleError, RoleError, UnreadableFileError
from napari_brain_tumor.io import list_series, open_study
from phantoms import noise


def write_export(folder):
    """A study as a PACS hands it out: a scout, T1 before and after, T2, FLAIR twice, a map, a subtraction."""
    rows = [
        (1, "Survey", {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
        (2, "AX T1", {"RepetitionTime": 500, "EchoTime": 12}),
        (3, "AX FLAIR", {"RepetitionTime": 9000, "EchoTime": 120, "InversionTime": 2500}),
        (4, "SAG FLAIR", {"EchoTime": 120, "InversionTime": 2500, "ImageOrientationPatient": SAGITTAL}),
        (5, "AX T2", {"RepetitionTime": 4000, "EchoTime": 100}),
        (6, "AX T1 POST", {"ContrastBolusAgent": "Gadovist 7 ml", "AcquisitionTime": "102231.5"}),
        (7, "AX DIFF", {"ImageType": ["DERIVED", "PRIMARY", "ADC"]}),
        (8, "T1 post minus pre", {"ImageType": ["DERIVED", "SECONDARY", "SUB"]}),
    ]
    for number, description, tags in rows:
        sagittal = tags.get("ImageOrientationPatient") == SAGITTAL
        write_stack(
            folder / f"S{number:02}",
            noise((7, 6, 5), number),
            uid=str(number),
            step=(-6, 0, 0) if sagittal else (0, 0, 6),
            **({"SeriesNumber": number, "SeriesDescription": description, "AcquisitionDate": "20240301"} | tags),
        )
    return folder


def roles_by_number(path):
    return {one.number: one.role for one in list_series(path)}


def test_every_series_is_listed_with_what_it_is(tmp_path):
    listed = list_series(write_export(tmp_path))
    assert [one.number for one in listed] == [str(n) for n in range(1, 9)]
    post = listed[5]
    assert (post.description, post.plane, post.slices, post.columns, post.rows) == ("AX T1 POST", "axial", 5, 7, 6)
    assert post.pixel_spacing_mm == (1.25, 0.5)
    assert (post.slice_thickness_mm, post.slice_step_mm) == (5, 6)
    assert post.contrast_agent == "Gadovist 7 ml"
    assert post.acquired == "2024-03-01 10:22:31"
    assert len(post.files) == 5
    flair = listed[3]
    assert (flair.plane, flair.echo_time_ms, flair.inversion_time_ms) == ("sagittal", 120, 2500)
    assert [one.role for one in listed] == [None, "T1", "FLAIR", "FLAIR", "T2", "T1c", None, None]


def test_the_question_lists_every_series_and_how_to_answer(tmp_path):
    write_export(tmp_path)
    with pytest.raises(DuplicateRoleError) as caught:
        open_study(tmp_path)
    text = str(caught.value)
    assert "2 for FLAIR" in text
    for words in ("1: Survey", "3: AX FLAIR", "4: SAG FLAIR", "Gadovist 7 ml", "7x6 of 0.5x1.25 mm", "taken for T1c"):
        assert words in text
    assert '"T1": "2", "T1c": "6", "T2": "5"' in text
    assert "--series T1=2" in text


@pytest.mark.parametrize("choice", ["3", 3, "AX FLAIR", "ax  flair", f"{ROOT}.3"])
def test_a_series_is_picked_by_number_description_or_uid(tmp_path, choice):
    write_export(tmp_path)
    study = open_study(tmp_path, series={"t1ce": "6", "FLAIR": choice})
    assert study.roles == ("T1c", "FLAIR")
    assert (study.sequences["FLAIR"] == noise((7, 6, 5), 3)).all()
    assert (study.sequences["T1c"] == noise((7, 6, 5), 6)).all()
    assert "Series 4 (SAG FLAIR) was not opened, though it would be taken for FLAIR." in study.notes


def test_numbers_do_not_depend_on_where_the_files_lie(tmp_path):
    write_export(tmp_path / "a")
    flat = tmp_path / "b"
    flat.mkdir()
    for at, path in enumerate(sorted((tmp_path / "a").rglob("*.dcm"), reverse=True)):
        path.rename(flat / f"{at:04}")
    assert roles_by_number(flat) == {
        **dict.fromkeys(("1", "7", "8")),
        "2": "T1",
        "3": "FLAIR",
        "4": "FLAIR",
        "5": "T2",
        "6": "T1c",
    }


@pytest.mark.parametrize(
    ("picks", "error", "words"),
    [
        ({"T1c": "11"}, RoleError, "no series '11' for T1c.*6: AX T1 POST"),
        ({"T1c": "FLAIR"}, RoleError, "no series 'FLAIR'"),
        ({"T1c": "6", "T1": "6"}, RoleError, "picked as T1c and as T1"),
        ({"T1c": "6", "t1ce": "2"}, DuplicateRoleError, "given twice"),
        ({"PD": "6"}, RoleError, "not the name of a sequence"),
    ],
)
def test_picks_that_do_not_fit_are_refused_with_the_list(tmp_path, picks, error, words):
    write_export(tmp_path)
    with pytest.raises(error, match=f"(?s){words}"):
        open_study(tmp_path, series=picks)


def test_a_description_that_two_series_share_needs_the_number(tmp_path):
    write_series(tmp_path / "a", "AX FLAIR", uid="1", SeriesNumber=4)
    write_series(tmp_path / "b", "AX FLAIR", seed=1, uid="2", SeriesNumber=9)
    with pytest.raises(DuplicateRoleError, match="pick one by its number, 4, 9"):
        open_study(tmp_path, series={"FLAIR": "AX FLAIR"})


def test_series_that_share_a_number_get_letters_and_those_without_an_x(tmp_path):
    write_series(tmp_path / "a", "AX FLAIR", uid="1", SeriesNumber=4)
    write_series(tmp_path / "b", "AX T1", seed=1, uid="2", SeriesNumber=4)
    write_series(tmp_path / "c", "AX T2", seed=2, uid="3")
    assert set(roles_by_number(tmp_path)) == {"4a", "4b", "x1"}
    with pytest.raises(DuplicateRoleError, match="4a, 4b"):
        open_study(tmp_path, series={"FLAIR": 4})
    assert open_study(tmp_path).roles == ("T1", "T2", "FLAIR")


def test_roles_in_an_order_are_refused_where_there_are_several_series(tmp_path):
    write_export(tmp_path)
    with pytest.raises(RoleError, match=r"(?s)no order of their own.*6: AX T1 POST"):
        open_study(tmp_path, roles=("T1", "T2", None, None, None, None, None, None))
    with pytest.raises(RoleError, match="either series"):
        open_study(tmp_path, roles=("T1",), series={"T1": "2"})


def test_a_damaged_series_is_refused_when_it_is_used_and_does_not_stop_the_others(tmp_path):
    write_export(tmp_path)
    (tmp_path / "S05" / "002.dcm").unlink()
    listed = {one.number: one.problem for one in list_series(tmp_path)}
    assert "missing" in listed["5"]
    assert not any(problem for number, problem in listed.items() if number != "5")
    assert open_study(tmp_path, series={"T1": "2", "FLAIR": "3"}).roles == ("T1", "FLAIR")
    with pytest.raises(UnreadableFileError, match="missing"):
        open_study(tmp_path, series={"T2": "5"})


def test_a_role_with_one_damaged_candidate_is_not_left_out_in_silence(tmp_path):
    write_series(tmp_path / "a", "AX FLAIR", uid="1")
    write_stack(tmp_path / "b", noise((7, 6, 5)), uid="2", SeriesDescription="AX T2")
    (tmp_path / "b" / "002.dcm").unlink()
    with pytest.raises(UnreadableFileError, match="AX T2"):
        open_study(tmp_path)


# What the tags say ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "tags", "role"),
    [
        ("AX T1", {"ContrastBolusAgent": "GADAVIST"}, "T1c"),
        ("AX T1", {"ContrastBolusAgent": "NONE"}, "T1"),
        ("AX T1", {}, "T1"),
        ("AX T1 PRE", {"ContrastBolusAgent": "GADAVIST"}, None),  # words and tag contradict each other
        ("AX T1 C-", {}, "T1"),
        ("AX T1 C+", {}, "T1c"),
        ("t2_tirm_tra_dark-fluid", {"InversionTime": 2500, "RepetitionTime": 9000}, "FLAIR"),
        ("t2_tirm_tra", {"InversionTime": 2500, "RepetitionTime": 9000}, "FLAIR"),
        ("t2_tirm_tra", {"InversionTime": 160, "RepetitionTime": 4000}, None),
        ("AX T2*", {}, None),
        ("AX FLAIR", {"ContrastBolusAgent": "GADAVIST"}, "FLAIR"),
        ("AX T2", {"ContrastBolusAgent": "GADAVIST"}, "T2"),
        ("AX T2", {"InversionTime": 2500, "EchoTime": 120}, None),  # a FLAIR by its times
        ("AX T2", {"InversionTime": 160, "EchoTime": 80}, "T2"),
        ("MPRAGE T1", {"InversionTime": 900, "EchoTime": 3}, "T1"),
        ("SAG T1 MIP", {"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, None),
        ("AX T1", {"ImageType": ["DERIVED", "PRIMARY", "T1 MAP"]}, None),
        ("AX T1", {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, None),
        ("AX T1", {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "T1"),
        ("AX T1", {"Modality": "CT"}, None),
        ("", {"InversionTime": 2500, "EchoTime": 120}, None),  # nothing is taken by its times alone
    ],
)
def test_tags_support_or_contradict_the_description(tmp_path, description, tags, role):
    write_series(tmp_path / "s", description, **tags)
    assert [one.role for one in list_series(tmp_path)] == [role]


def test_a_contrast_agent_that_decided_is_told(tmp_path):
    write_series(tmp_path / "s", "AX T1", ContrastBolusAgent="GADAVIST")
    assert "names a contrast agent (GADAVIST)" in " ".join(open_study(tmp_path).notes)


def test_a_protocol_or_folder_stands_in_for_a_description_that_was_removed(tmp_path):
    write_series(tmp_path / "s", "", ProtocolName="t2_tse_tra")
    write_series(tmp_path / "FLAIR", "", uid="2", seed=1)
    study = open_study(tmp_path)
    assert study.roles == ("T2", "FLAIR")
    assert "because of its folder, FLAIR" in " ".join(study.notes)


def test_the_name_of_a_folder_says_nothing_of_several_series(tmp_path):
    write_series(tmp_path / "FLAIR", "WIP 1", uid="1")
    for path in list((tmp_path / "FLAIR").iterdir()):
        path.rename(path.with_name(f"a{path.name}"))
    write_series(tmp_path / "FLAIR", "ADC", uid="2", seed=1)
    assert [one.role for one in list_series(tmp_path)] == [None, None]


def test_a_result_knows_when_a_slice_of_its_series_was_changed(tmp_path):
    from napari_brain_tumor.io.source_files import changes_since_read

    write_series(tmp_path / "s")
    for place in (tmp_path / "s", tmp_path / "s" / "IM0002.dcm"):
        sources = open_study(place).sources
        assert changes_since_read(sources) == ()
        file = tmp_path / "s" / "IM0001.dcm"
        os.utime(file, (9e9, 9e9))
        assert len(changes_since_read(sources)) == 1
        os.utime(file, (1e9, 1e9))
