"""What the dock shows, without Qt."""

from napari_brain_tumor.widgets.dock.state import (
    TABS,
    CaseFacts,
    Choices,
    Facts,
    JobFacts,
    job_text,
    resolve,
)


def test_without_a_case_nothing_can_be_compared_or_reported():
    view = resolve(Choices(None, "compare"), Facts())
    assert view.cases == ("no case is open",)
    assert view.case == 0
    assert view.tab == "segment"
    assert set(view.closed) == {"compare"}
    assert view.report_obstacle == "Open a case first."
    assert view.state_text == ""


def test_two_results_open_the_tab_that_compares_and_one_closes_it():
    two, one = Facts([CaseFacts("anna", 2)]), Facts([CaseFacts("anna", 1)])
    assert resolve(Choices(0, "compare"), two).tab == "compare"
    assert resolve(Choices(0, "compare"), two).closed == {}
    assert resolve(Choices(0, "compare"), one).tab == "segment"
    assert "another model" in resolve(Choices(0, "compare"), one).closed["compare"]


def test_the_results_of_another_case_do_not_count():
    facts = Facts([CaseFacts("anna", 2), CaseFacts("ben", 0)])
    assert resolve(Choices(1), facts).closed
    assert "no labels" in resolve(Choices(1), facts).report_obstacle
    assert resolve(Choices(0), facts).report_obstacle == ""


def test_cases_of_one_name_are_numbered_and_a_position_beyond_them_means_none():
    facts = Facts([CaseFacts("anna"), CaseFacts("ben"), CaseFacts("anna")])
    assert resolve(Choices(2), facts).cases == ("anna (1)", "ben", "anna (2)")
    assert resolve(Choices(2), facts).case == 2
    assert resolve(Choices(5), facts).case == 0
    assert resolve(Choices(5), facts).report_obstacle == "Open a case first."


def test_what_is_saved_is_told_with_its_time_and_what_is_not_by_name_or_count():
    assert resolve(Choices(), Facts(saved_at="12:03")).state_text == "Saved 12:03"
    assert resolve(Choices(), Facts(unsaved=["anna unet"])).state_text == "anna unet is not saved"
    both = resolve(Choices(), Facts(unsaved=["a", "b"], saved_at="12:03")).state_text
    assert both == "Saved 12:03 · 2 results are not saved"


def test_every_tab_has_its_title_and_tip():
    assert [title for title, _ in TABS.values()] == ["Segment", "Correct", "Measure", "Compare", "Data && training"]
    assert all(tip.endswith(".") for _, tip in TABS.values())


def test_a_job_is_described_with_what_is_left():
    assert job_text(JobFacts("Segmenting")) == "Segmenting…"
    job = JobFacts("Segmenting", "window 3 of 9", 0.3, "about 12 s left")
    assert job_text(job) == "Segmenting: window 3 of 9, about 12 s left"
