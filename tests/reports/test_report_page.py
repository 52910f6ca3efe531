"""The page is valid, loads nothing, tells the numbers and no names, and is written whole or not at all."""

import base64
import io
import re
from html.parser import HTMLParser

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from napari_brain_tumor import open_segmentation, open_study, save_segmentation
from napari_brain_tumor.errors import GridMismatchError, SaveError
from napari_brain_tumor.followup.facts import VisitFacts
from napari_brain_tumor.followup.followup import follow_up
from napari_brain_tumor.followup.registration import no_motion
from napari_brain_tumor.followup.visits import FoundDate, Visit, parse_date
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.source_files import file_sha256
from napari_brain_tumor.measure.examination import measure_study
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.reports import pictures, report
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from napari_brain_tumor.study import Segmentation, Study

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Follows opening and closing tags, and gathers what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.images: list[dict[str, str]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] in ("style", "title"):
            assert "url(" not in data
            assert "@import" not in data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> tuple[Study, Segmentation]:
    """Every fourth voxel of the sample, in a folder whose name must not be told."""
    folder = tmp_path_factory.mktemp("Jane_Doe_1970")
    for file in [*sample_case_folder().glob("*.nii.gz")]:
        if "seg" not in file.name:
            nib.load(file).slicer[::4, ::4, ::4].to_filename(folder / f"Jane_{file.name.split('_')[-1]}")
    nib.load(sample_truth_path()).slicer[::4, ::4, ::4].to_filename(folder / "Jane_seg.nii.gz")
    return open_study(folder), open_segmentation(folder / "Jane_seg.nii.gz", "MSD")


@pytest.fixture(scope="module")
def plain(case) -> tuple[Study, Segmentation]:
    """The same with one sequence, for what has nothing to do with pictures and fit: half the seconds."""
    study, segmentation = case
    return study.only(("T1c",)), segmentation


@pytest.fixture(scope="module")
def written(case, tmp_path_factory) -> Page:
    study, segmentation = case
    path = report(study, segmentation, tmp_path_factory.mktemp("out") / "report.html", name="Case <7> & more")
    return Page(path.read_text(encoding="utf-8"))


def test_tags_are_balanced_and_ids_are_used_once(written) -> None:
    assert written.open == []
    assert len(set(written.ids)) == len(written.ids)


def test_nothing_is_loaded_from_anywhere(written) -> None:
    assert all(value.startswith(("data:", "#")) for _, name, value in written.attributes if name in ("src", "href"))
    assert not any(tag in ("script", "link", "iframe") for tag, _, _ in written.attributes)
    policy = next(value for tag, _, value in written.attributes if tag == "meta" and "default-src" in value)
    assert "default-src 'none'" in policy


def test_every_picture_has_words_and_opens(written) -> None:
    assert len(written.images) >= 6
    for image in written.images:
        assert len(image["alt"]) > 20
        content = base64.b64decode(image["src"].split(",", 1)[1])
        picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert picture.std() > 5, "a picture is blank"


def test_the_notice_stands_at_the_top_and_at_the_bottom(written) -> None:
    places = [found.start() for found in re.finditer("Not for clinical use", written.text)]
    assert len(places) == 2
    assert places[0] < 300
    assert places[1] > len(written.text) - 200


def test_the_numbers_are_those_that_are_measured(written, case) -> None:
    study, segmentation = case
    volumes = measure_volumes(segmentation)
    for region in ("WT", "TC", "ET"):
        assert f"{volumes[region].ml:.2f}" in written.text
    largest = measure_study(segmentation, study).of_region("ET")[0].diameters
    assert f"{largest.long_mm:.1f} x {largest.short_mm:.1f} mm" in written.text


def test_what_a_user_types_is_text_and_never_markup(written) -> None:
    assert "Case <7> & more" in written.text
    assert not any(tag == "7" for tag, _, _ in written.attributes)


@pytest.mark.slow
def test_names_and_folders_of_files_stay_out_unless_asked_for(plain, tmp_path) -> None:
    study, segmentation = plain
    page = report(study, segmentation, tmp_path / "plain.html", name="case").read_text(encoding="utf-8")
    assert "Jane" not in page
    assert file_sha256(study.sources["T1c"].path) in page
    told = report(study, segmentation, tmp_path / "told.html", name="case", with_paths=True).read_text(encoding="utf-8")
    assert str(study.sources["T1c"].path) in told


@pytest.mark.slow
def test_labels_changed_since_they_were_saved_are_said_to_be_edited(plain, tmp_path) -> None:
    study, segmentation = plain
    made = Segmentation(segmentation.data, segmentation.grid, provenance={"task": "segment", "model": {"name": "unet"}})
    path = tmp_path / "seg.nii.gz"
    save_segmentation(made, path)
    opened = open_segmentation(path)
    page = report(study, opened, tmp_path / "a.html").read_text(encoding="utf-8")
    assert "unet" in page
    assert "edited by hand" not in page
    image = nib.load(path)
    changed = np.asarray(image.dataobj).copy()
    changed[0, 0, 0] = 1
    nib.save(nib.Nifti1Image(changed, image.affine, image.header), path)
    page = report(study, open_segmentation(path, "MSD"), tmp_path / "b.html").read_text(encoding="utf-8")
    assert "edited elsewhere" in page


def test_voxels_of_unknown_size_give_no_millimetres(plain, tmp_path) -> None:
    study, segmentation = plain
    grid = Grid(study.grid.shape, study.grid.affine, "voxel")
    unknown = Study(study.sequences, grid, name="unknown")
    text = Page(
        report(unknown, Segmentation(segmentation.data, grid), tmp_path / "r.html").read_text(encoding="utf-8")
    ).text
    assert "voxel size" in text
    assert not re.search(r"\d (mL|mm²)", text)


def test_an_empty_segmentation_still_makes_a_page(plain, tmp_path) -> None:
    study, segmentation = plain
    empty = Segmentation(np.zeros_like(segmentation.data), segmentation.grid)
    page = Page(report(study, empty, tmp_path / "r.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert "None." in page.text


@pytest.mark.slow
def test_visits_are_compared_in_the_page_and_what_is_missing_is_listed(plain, tmp_path) -> None:
    study, segmentation = plain
    smaller = segmentation.data.copy()
    smaller[:, :, : smaller.shape[2] // 2] = 0
    visits = [
        Visit("before", segmentation, study, FoundDate(parse_date("2025-01-01"), "x"), VisitFacts(baseline=True)),
        Visit("after", Segmentation(smaller, study.grid), study, FoundDate(parse_date("2025-03-01"), "x")),
    ]
    found = follow_up(visits, {"after": no_motion(study, study)})
    page = Page(report(study, visits[1].segmentation, tmp_path / "r.html", found=found).read_text(encoding="utf-8"))
    assert page.open == []
    for words in ("Sizes over time", "Not assessable", "By imaging alone", "dose of steroids", "Checkerboard"):
        assert words in page.text
    assert any("image/svg+xml" in image["src"] for image in page.images)
    assert found["WT"].changes[1].value < found["WT"].changes[0].value


def test_a_page_that_cannot_be_written_leaves_the_old_one(plain, tmp_path, monkeypatch) -> None:
    study, segmentation = plain
    target = tmp_path / "report.html"
    target.write_text("old")
    monkeypatch.setattr("napari_brain_tumor.io.atomic.os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(SaveError, match="not saved"):
        report(study, segmentation, target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_other_grids_and_other_suffixes_are_refused(case, tmp_path) -> None:
    study, segmentation = case
    moved = Segmentation(segmentation.data, Grid(study.grid.shape, np.diag([9.0, 9, 9, 1])))
    with pytest.raises(GridMismatchError, match="both on one grid"):
        report(study, moved, tmp_path / "r.html")
    with pytest.raises(SaveError, match=r"with \.html"):
        report(study, segmentation, tmp_path / "r.pdf")


@pytest.mark.parametrize(
    "order", [np.eye(3), -np.eye(3)[[2, 0, 1]], np.eye(3)[[1, 2, 0]]], ids=["RAS", "turned and flipped", "turned"]
)
def test_diameter_lines_are_drawn_over_the_lesion_they_measure(order, monkeypatch) -> None:
    """The drawn ends fall on the lesion in the picture, whichever way the file's axes run."""
    matrix = np.eye(4)
    matrix[:3, :3] = order * 2.0
    data = np.zeros((30, 34, 38), np.uint8)
    data[6:11, 20:30, 25:33] = 3
    grid = Grid(data.shape, matrix)
    image = np.random.default_rng(0).random(data.shape, np.float32) * 0.1 + (data > 0) * 9 + 1
    study, segmentation = Study({"T1c": image}, grid), Segmentation(data, grid)
    drawn: list[tuple[np.ndarray, np.ndarray]] = []
    sliced = []
    monkeypatch.setattr(
        pictures, "draw_classes", lambda _, classes, borders, opacity: sliced.append((classes, borders))
    )
    real = pictures._draw_line

    def spy(axes, line, *rest) -> None:
        real(axes, line, *rest)
        drawn.append(tuple(np.asarray(part) for part in axes.lines[-1].get_data()))

    monkeypatch.setattr(pictures, "_draw_line", spy)
    list(pictures.diameter_pictures(study, segmentation, measure_study(segmentation)))
    classes, (_, width, _, height) = sliced[0]
    rows, columns = np.nonzero(classes)
    step = width / classes.shape[1]
    for x, y in drawn[:2]:
        assert (x >= columns.min() * step).all()
        assert (x <= (columns.max() + 1) * step).all()
        assert (y >= height - (rows.max() + 1) * step).all()
        assert (y <= height - rows.min() * step).all()
