import pytest
from dataset_cases import add_case, assert_is_whole
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_brain_tumor import CuratedDataset
from napari_brain_tumor.dataset import SplitPolicy, SplitRow, read_split_table
from napari_brain_tumor.dataset.index import PatientRecord, now
from napari_brain_tumor.dataset.split import Newcomer, assign, side_by_rule, with_table
from napari_brain_tumor.errors import SplitError

SUBJECTS = """dataset,case,patient,split,grade
volumes,Brats18_TCIA10_628_1,TCGA-DU-A5TR,train,LGG
volumes,Brats18_CBICA_ABM_1,Brats18_CBICA_ABM_1,val,HGG
slices,TCGA_DU_A5TR_19970726,TCGA-DU-A5TR,train,LGG
slices,TCGA_CS_4941_19960909,TCGA-CS-4941,Validation,LGG
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "subjects.csv"
    path.write_text(SUBJECTS)
    return path


@pytest.fixture
def dataset(tmp_path):
    return CuratedDataset.create(tmp_path / "set", val_fraction=0.25, seed=3)


def patients_by_rule(keys, policy, stratum="grade HGG"):
    patients = {}
    for key in keys:
        patients = assign(patients, Newcomer(key, key, stratum), policy)
    return {key: patient.split for key, patient in patients.items()}


@given(
    count=st.integers(1, 60),
    seed=st.integers(0, 10_000),
    val=st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9]),
)
@settings(max_examples=60, deadline=None)
def test_each_side_has_its_share_to_within_one_patient(count, seed, val):
    sides = patients_by_rule([f"P{k}" for k in range(count)], SplitPolicy(seed=seed, val_fraction=val))
    in_validation = list(sides.values()).count("val")
    assert abs(in_validation - val * count) <= 1
    assert in_validation + list(sides.values()).count("train") == count


def test_three_sides_are_filled_as_well():
    policy = SplitPolicy(seed=1, val_fraction=0.2, test_fraction=0.1)
    sides = list(patients_by_rule([f"P{k}" for k in range(100)], policy).values())
    assert [sides.count(side) for side in ("train", "val", "test")] == pytest.approx([70, 20, 10], abs=2)


def test_every_stratum_is_split_for_itself():
    policy = SplitPolicy(val_fraction=0.25)
    patients = {}
    for k in range(40):
        patients = assign(patients, Newcomer(f"c{k}", f"P{k}", "grade HGG" if k % 4 else "grade LGG"), policy)
    in_validation = [p.stratum for p in patients.values() if p.split == "val"]
    assert 6 <= in_validation.count("grade HGG") <= 9
    assert 2 <= in_validation.count("grade LGG") <= 4


def test_the_rule_depends_on_the_seed_and_on_nothing_hidden():
    keys = [f"P{k}" for k in range(30)]
    by_seed = [patients_by_rule(keys, SplitPolicy(seed=seed)) for seed in (0, 0, 1)]
    assert by_seed[0] == by_seed[1] != by_seed[2]


def test_the_first_patient_goes_to_validation_as_often_as_its_share_says():
    policy = SplitPolicy(val_fraction=0.2)
    drawn = [side_by_rule({}, f"P{k}", "x", policy) for k in range(2000)]
    assert drawn.count("val") / 2000 == pytest.approx(0.2, abs=0.03)


def test_all_cases_of_a_patient_are_on_one_side(dataset):
    cases = [add_case(dataset, f"visit{k}", patient="TCGA_CS_4941_19960909" if k else "tcga-cs-4941") for k in range(6)]
    assert len({case.split for case in cases}) == 1
    assert [s.kind for s in cases[2].similar] == ["same patient", "same patient"]
    assert list(dataset.index.patients) == ["TCGA-CS-4941"]


def test_a_patient_in_validation_stays_there_after_removal(dataset):
    add_case(dataset, "case", patient="p1", split="val")
    dataset.remove("case")
    with pytest.raises(SplitError, match=r"P1 is in validation since .* frozen"):
        add_case(dataset, "again", patient="P1", split="train")
    assert add_case(dataset, "again", patient="p1").split == "val"
    assert_is_whole(dataset)


def test_a_new_policy_moves_nobody(dataset):
    before = {f"case{k}": add_case(dataset, f"case{k}", seed=k).split for k in range(8)}
    dataset.set_policy(seed=99, val_fraction=0.9)
    assert {case.id: case.split for case in dataset.cases()} == before
    later = [add_case(dataset, f"late{k}", seed=100 + k).split for k in range(10)]
    assert later.count("val") >= 8


def test_the_split_is_balanced_by_regions_where_the_grade_is_not_known(dataset):
    add_case(dataset, "case")
    assert dataset.index.patients["CASE"].stratum == "ET of WT/TC/ET"
    add_case(dataset, "graded", grade="HGG")
    assert dataset.index.patients["GRADED"].stratum == "grade HGG"


def test_a_copy_under_another_name_joins_the_same_side(dataset):
    first = add_case(dataset, "first", seed=5, patient="A")
    second = add_case(dataset, "second", seed=5, patient="B")
    assert second.split == first.split
    assert second.similar[0].kind == "same voxels"
    assert dataset.index.patients["A"].same_person == ("B",)
    assert dataset.index.patients["B"].decided_by == "same person"


def test_a_copy_is_refused_where_it_would_be_on_both_sides(dataset):
    add_case(dataset, "first", seed=5, patient="A", split="val")
    add_case(dataset, "other", seed=6, patient="B", split="train")
    with pytest.raises(SplitError, match="same examination as first of A, who is in validation"):
        add_case(dataset, "second", seed=5, patient="B")
    with pytest.raises(SplitError, match="would go to training"):
        add_case(dataset, "second", seed=5, patient="C", split="train")
    assert add_case(dataset, "second", seed=5, patient="B", not_same_as=["first"]).split == "train"


def test_a_removed_copy_still_ties_its_two_patients(dataset):
    add_case(dataset, "first", seed=5, patient="A", split="val")
    add_case(dataset, "second", seed=5, patient="B")
    dataset.remove("second")
    with pytest.raises(SplitError, match="frozen"):
        add_case(dataset, "third", seed=8, patient="B", split="train")


def test_a_given_split_decides_for_patients_to_come(tmp_path, table):
    dataset = CuratedDataset.create(tmp_path / "set", split_table=table)
    assert add_case(dataset, "Brats18_CBICA_ABM_1").split == "val"
    case = add_case(dataset, "TCGA_CS_4941_19960909")
    assert (case.split, case.grade) == ("val", "LGG")


def test_a_given_split_tells_whose_a_case_is(tmp_path, table):
    dataset = CuratedDataset.create(tmp_path / "set", split_table=table)
    volume, slices = add_case(dataset, "Brats18_TCIA10_628_1"), add_case(dataset, "TCGA_DU_A5TR_19970726")
    assert volume.patient_key == slices.patient_key == "TCGA-DU-A5TR"
    assert [s.kind for s in slices.similar] == ["same patient"]
    assert {volume.split, slices.split} == {"train"}


def test_a_given_split_may_not_contradict_what_is_decided(dataset, table):
    add_case(dataset, "x", patient="TCGA-CS-4941", split="train")
    before = dataset.index
    with pytest.raises(SplitError, match="TCGA-CS-4941 is in training"):
        dataset.apply_split(table)
    assert dataset.index == before
    other = [SplitRow("TCGA-CS-4941", "train"), SplitRow("new", "test")]
    assert dataset.apply_split(other) == 1
    assert add_case(dataset, "new").split == "test"


def test_a_given_split_may_not_join_patients_of_two_sides(dataset):
    add_case(dataset, "Brats18_TCIA10_628_1", split="val")
    with pytest.raises(SplitError, match="BRATS18-TCIA10-628-1 is in validation"):
        dataset.apply_split([SplitRow("TCGA-DU-A5TR", "train", case="Brats18_TCIA10_628_1")])


def test_a_case_name_of_two_patients_stands_for_neither():
    rows = [SplitRow("A", "train", "one", "case_1"), SplitRow("B", "val", "two", "case_1")]
    assert [patient.also_known_as for patient in with_table({}, rows).values()] == [(), ()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,split\na,train\n", "columns patient and split"),
        ("", "no row"),
        ("patient,split\na,\n", "row 2 .* split ''"),
        ("patient,split\na,left\n", "'left'"),
        ("patient,split\nTCGA-CS-4941,train\nTCGA_CS_4941_19960909,val\n", "two sides: TCGA-CS-4941"),
    ],
)
def test_a_split_table_that_cannot_be_used_is_refused(tmp_path, text, message):
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(SplitError, match=message):
        read_split_table(path)


def test_a_split_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SplitError, match="cannot be read"):
        read_split_table(tmp_path / "none.csv")


def test_the_hash_of_the_split_is_that_of_patients_and_sides(tmp_path):
    sets = [CuratedDataset.create(tmp_path / name) for name in "ab"]
    for dataset in sets:
        add_case(dataset, "one", patient="A", split="val")
    assert sets[0].index.split_sha256 == sets[1].index.split_sha256
    add_case(sets[0], "two", patient="B", split="train")
    assert sets[0].index.split_sha256 != sets[1].index.split_sha256


def test_the_message_names_the_day_of_the_decision():
    patients = {"A": PatientRecord(split="val", decided_at=now())}
    with pytest.raises(SplitError, match=f"since {now():%Y-%m-%d}"):
        assign(patients, Newcomer("c", "A", "", required="train"), SplitPolicy())
