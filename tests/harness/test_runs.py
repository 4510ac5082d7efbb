"""Run folders: what a kill at any moment leaves, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record import SCHEMA_VERSION, Sample
from harness.runs import RunError, RunFolder
from harness.storage import StorageError, append_line, read_lines, write_json

MANIFEST: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "plan": {"methods": ["rcnn"]}}


def sample(image: str, **changes: Any) -> Sample:
    values: dict[str, Any] = {"process": 0, "repeat": 0, "method": "rcnn", "image": image, "index": 0, "position": 0}
    return Sample(**{**values, "status": "ok", "seconds": {"total": 0.125}, "detections": 1, "digest": "0f", **changes})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.start(MANIFEST)
    return run


def test_samples_come_back_as_they_were_kept(folder: RunFolder) -> None:
    """In order, with every field."""
    kept = [sample("a"), sample("ä\n\u2028b", status="oom", reason="no memory", seconds=None), sample("c", repeat=3)]
    for each in kept:
        folder.append_sample(each)
    assert folder.read_samples() == kept


@pytest.mark.parametrize("lost", [1, 2, 20])
def test_a_torn_last_line_is_left_out_and_mended(folder: RunFolder, lost: int) -> None:
    """A kill in the middle of a write costs that sample alone; the next one stands on a line of its own."""
    path = folder.path / "samples.jsonl"
    for image in "abc":
        folder.append_sample(sample(image))
    os.truncate(path, path.stat().st_size - lost)
    assert [each.image for each in folder.read_samples()] == ["a", "b"]
    folder.append_sample(sample("d"))
    assert [each.image for each in folder.read_samples()] == ["a", "b", "d"]


def test_a_first_line_that_is_torn_is_mended(folder: RunFolder) -> None:
    """Nothing before it is needed."""
    (folder.path / "samples.jsonl").write_text('{"process": 0')
    assert folder.read_samples() == []
    folder.append_sample(sample("a"))
    assert folder.read_samples() == [sample("a")]


def test_a_torn_earlier_line_is_an_error_with_its_number(folder: RunFolder) -> None:
    """No kill does that, so somebody changed the file, and the run is not to be trusted."""
    path = folder.path / "samples.jsonl"
    lines = [sample(image).as_line() for image in "abc"]
    path.write_text("\n".join([lines[0], lines[1][:30], lines[2], ""]))
    with pytest.raises(StorageError, match=r"samples\.jsonl, line 2: not a JSON object"):
        folder.read_samples()


def test_a_line_that_is_no_sample_is_an_error_with_its_number(folder: RunFolder) -> None:
    """Such as one of a later schema."""
    folder.append_sample(sample("a"))
    append_line(folder.path / "samples.jsonl", '{"process": 0, "watts": 3}')
    with pytest.raises(RunError, match="line 2: not a sample"):
        folder.read_samples()


def test_a_manifest_is_replaced_as_a_whole(folder: RunFolder) -> None:
    """A write that fails half-way leaves the old one, and no other file."""
    before = sorted(folder.path.iterdir())
    with pytest.raises(ValueError, match=r"(?i)nan"):
        folder.write_manifest({**MANIFEST, "seconds": float("nan")})
    assert folder.read_manifest() == MANIFEST
    assert sorted(folder.path.iterdir()) == before


def test_a_kill_while_replacing_leaves_the_old_file(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new text is whole on the disk before it takes the old one's place."""

    def killed(self: Path, target: Path) -> Path:
        assert json.loads(self.read_text()) == {"new": 1}
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_json(folder.path / "manifest.json", {"new": 1})
    assert folder.read_manifest() == MANIFEST


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, None, "1"])
def test_another_schema_is_refused(folder: RunFolder, version: object) -> None:
    """A newer program's file may mean something else; the message says what this one reads."""
    folder.write_manifest({**MANIFEST, "schema_version": version})
    with pytest.raises(RunError, match=f"has schema {version}; this version of harness reads up to {SCHEMA_VERSION}"):
        folder.read_manifest()


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_older_schemas_are_read(folder: RunFolder, version: int) -> None:
    """Every schema there ever was."""
    folder.write_manifest({**MANIFEST, "schema_version": version})
    assert folder.read_manifest()["schema_version"] == version


def test_of_an_image_that_was_logged_twice_the_later_counts(folder: RunFolder) -> None:
    """A kill between detections and sample makes the image be measured again."""
    first, later = [row("a", 0.1)], [row("a", 0.2), row("a", 0.1)]
    folder.append_detections("spp:5", "a", first)
    folder.append_detections("spp:5", "b", [])
    assert folder.first_detections("spp:5", "a") == first
    folder.append_detections("spp:5", "a", later)
    assert folder.first_detections("spp:5", "a") == folder.read_detections("spp:5") == later
    assert folder.first_detections("spp:5", "b") == folder.first_detections("spp:5", "c") == []
    folder.finish_detections("spp:5")
    assert [path.name for path in (folder.path / "detections").iterdir()] == ["spp-5.json"]
    assert json.loads((folder.path / "detections/spp-5.json").read_text()) == later
    folder.finish_detections("spp:5")
    assert folder.first_detections("spp:5", "a") == folder.read_detections("spp:5") == later


def test_what_is_logged_after_the_log_was_finished_is_not_lost(folder: RunFolder) -> None:
    """A run that ended partial and goes on adds images to a finished file; they stand in the order of the truth."""
    folder.write_truth({"images": [{"id": name} for name in "abc"]})
    folder.append_detections("spp", "c", [row("c", 0.3)])
    folder.finish_detections("spp")
    folder.append_detections("spp", "a", [row("a", 0.1)])
    assert folder.read_detections("spp") == [row("a", 0.1), row("c", 0.3)]
    folder.finish_detections("spp")
    assert folder.read_detections("spp") == [row("a", 0.1), row("c", 0.3)]


def test_detections_that_are_gone_are_no_empty_ones(folder: RunFolder) -> None:
    """Without them a method that was measured would score 0; one of which no image was measured has none to lose."""
    assert folder.read_detections("spp") == []
    folder.append_detections("spp", "a", [])
    folder.append_sample(sample("a", method="spp"))
    assert folder.read_detections("spp") == []
    folder.finish_detections("spp")
    folder.detections_path("spp").unlink()
    for read in (folder.read_detections, folder.finish_detections):
        with pytest.raises(RunError, match=r"detections/spp\.json is missing, though spp was measured"):
            read("spp")
    assert not folder.detections_path("spp").exists()


def test_a_run_that_came_in_the_meantime_is_not_replaced(tmp_path: Path) -> None:
    """Between the first look at a folder and the moment it is held there are minutes, in which boxes are made."""
    folder = RunFolder(tmp_path / "run")
    folder.check_free(resume=False, overwrite=False)
    with folder.held():
        folder.check_still(None, overwrite=False)
    folder.start(MANIFEST)
    with folder.held():
        with pytest.raises(RunError, match=r"another process has written to .*run in the meantime"):
            folder.check_still(None, overwrite=False)
        folder.check_still(None, overwrite=True)
        folder.check_still(folder.read_manifest(), overwrite=False)
        with pytest.raises(RunError, match="in the meantime"):
            folder.check_still({**folder.read_manifest(), "status": "running before"}, overwrite=False)


def row(image: str, score: float) -> dict[str, Any]:
    """Of a detections file."""
    return {"image_id": image, "score": score}


def test_scratch_files_of_a_fit_stay_until_it_is_finished(folder: RunFolder) -> None:
    """A fit that was stopped finds its checkpoint again; another method's is left alone."""
    (folder.workdir("spp:5") / "checkpoint.pt").touch()
    folder.workdir("fast")
    assert [path.name for path in folder.workdir("spp:5").iterdir()] == ["checkpoint.pt"]
    folder.drop_workdir("spp:5")
    assert list(folder.workdir("fast").parent.iterdir()) == [folder.workdir("fast")]
    folder.drop_workdir("fast")
    assert not (folder.path / "work").exists()
    folder.drop_workdir("fast")


NAMES = [
    "spp:5",
    "spp-5",
    "spp%2D5",
    "spp::5",
    "spp--5",
    "spp+rcnn",
    "spp:5+rcnn",
    "spp:5@zf5",
    "spp%405@zf5",
    "spp/5",
    "spp 5",
    "Spp_5",
    "süß",
]


@given(st.lists(st.sampled_from(NAMES) | st.text(min_size=1, max_size=8), min_size=2, max_size=2, unique=True))
def test_no_two_methods_share_a_file(names: list[str]) -> None:
    """Whatever a plug-in is called; and a name is one file, not a path."""
    one, other = (RunFolder(Path("run")).model_path(name) for name in names)
    assert one != other
    assert one.parent == Path("run/models")


def test_variants_are_files_that_one_can_read(folder: RunFolder) -> None:
    """Colons do not stand in file names on every system."""
    names = {name: folder.model_path(name).stem for name in ("spp:5:pool5", "spp+rcnn", "fast")}
    assert names == {"spp:5:pool5": "spp-5-pool5", "spp+rcnn": "spp+rcnn", "fast": "fast"}


def refusal(path: Path, *, resume: bool = False, overwrite: bool = False) -> str:
    with pytest.raises(RunError) as caught:
        RunFolder(path).check_free(resume=resume, overwrite=overwrite)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_existing_run_needs_resume_or_overwrite(folder: RunFolder) -> None:
    """The refusal names both."""
    assert "go on with --resume, replace it with --overwrite" in refusal(folder.path)
    folder.check_free(resume=True, overwrite=False)
    folder.check_free(resume=False, overwrite=True)


def test_a_folder_that_holds_no_run_is_never_overwritten(tmp_path: Path) -> None:
    """A slip in --out must not cost somebody's files."""
    (tmp_path / "thesis.tex").touch()
    assert "holds no run" in refusal(tmp_path, overwrite=True)
    assert "holds no run" in refusal(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_places_that_cannot_hold_a_run_are_refused(tmp_path: Path) -> None:
    """A file, a place below a file, a file system without room for files, and nothing to resume."""
    (tmp_path / "file").touch()
    assert "is a file" in refusal(tmp_path / "file")
    assert "is not writable" in refusal(tmp_path / "file" / "below")
    assert "is not writable" in refusal(Path("/proc/run"))
    assert "nothing to resume" in refusal(tmp_path / "none", resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_empty_folders_and_leftovers_of_a_killed_start_are_free(tmp_path: Path) -> None:
    """A kill before the manifest was whole leaves nothing worth keeping."""
    RunFolder(tmp_path).check_free(resume=False, overwrite=False)
    (tmp_path / ".unfinished-manifest.json.17").touch()
    RunFolder(tmp_path).check_free(resume=False, overwrite=False)


def test_overwriting_leaves_nothing_of_the_old_run(folder: RunFolder) -> None:
    """Samples, detections and models of another plan must not be taken for this one's."""
    folder.append_sample(sample("a"))
    folder.append_detections("rcnn", "a", [])
    folder.write_fit("rcnn", {"total": 1.0})
    folder.start({**MANIFEST, "created": "now"})
    assert [path.name for path in folder.path.iterdir()] == ["manifest.json"]
    assert folder.read_manifest()["created"] == "now"


def test_missing_files_are_named(tmp_path: Path) -> None:
    """One line that says which."""
    with pytest.raises(RunError, match="holds no run"):
        RunFolder(tmp_path).read_manifest()
    with pytest.raises(StorageError, match=r"summary\.json is missing"):
        RunFolder(tmp_path).read_summary()
    assert list(read_lines(tmp_path / "none.jsonl")) == []


def test_two_processes_cannot_write_one_run(folder: RunFolder) -> None:
    """The second is refused at once, as long as the first lives; a killed one leaves nothing that is in the way."""
    code = "import sys,time; from pathlib import Path; from harness.runs import RunFolder\n"
    code += "with RunFolder(Path(sys.argv[1])).held(): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, folder.path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="is being written by another process; wait for it, or choose another --out"):
            folder.check_free(resume=True, overwrite=False)
        other.kill()
    folder.check_free(resume=True, overwrite=False)
    with folder.held(), pytest.raises(RunError, match="another process"), RunFolder(folder.path).held():
        pass
    assert [path.name for path in folder.path.iterdir()] == ["manifest.json"]
