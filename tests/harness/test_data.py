"""Fetching: what comes from a server is held against its checksum, and what is there is not fetched again."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from harness.data import fetch
from harness.datasets import DatasetError
from harness.datasets.voc import Voc

YEAR = "VOCdevkit/VOC2007"
FILES = {"2007": "trainval.tar", "2007-test": "test.tar"}
SPLITS = {"2007": "trainval", "2007-test": "test"}


def archive(path: Path, split: str, image_id: str) -> None:
    """A devkit of one image and one split, as the real archives are laid out."""
    picture = io.BytesIO()
    Image.new("RGB", (30, 20), (250, 10, 20)).save(picture, "JPEG")
    contents = {
        f"{YEAR}/ImageSets/Main/{split}.txt": f"{image_id}\n".encode(),
        f"{YEAR}/Annotations/{image_id}.xml": b"<annotation></annotation>",
        f"{YEAR}/JPEGImages/{image_id}.jpg": picture.getvalue(),
    }
    with tarfile.open(path, "w") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@dataclass
class Server:
    """A web server of a folder, and what it was asked for."""

    folder: Path
    asked: list[str] = field(default_factory=list)

    def bodies(self) -> list[str]:
        """Files whose contents were asked for, each once: torchvision asks once more to follow redirects."""
        return sorted({line.split()[1] for line in self.asked if line.startswith("GET")})


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Both archives in small, behind the addresses and checksums that torchvision's table then has."""
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    served = Server(tmp_path / "served")
    served.folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            served.asked.append(str(args[0]))

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(served.folder)))
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for number, (key, name) in enumerate(FILES.items(), start=1):
        archive(served.folder / name, SPLITS[key], f"00000{number}")
        monkeypatch.setitem(
            DATASET_YEAR_DICT,
            key,
            {
                "url": f"http://127.0.0.1:{http.server_port}/{name}",
                "filename": name,
                "md5": hashlib.md5((served.folder / name).read_bytes(), usedforsecurity=False).hexdigest(),
                "base_dir": YEAR,
            },
        )
    yield served
    http.shutdown()
    http.server_close()
    thread.join()


def test_both_archives_come_into_one_year_folder(server: Server, tmp_path: Path) -> None:
    """The folder that is returned opens as a data set with both splits, and no archive is left beside it."""
    told: list[str] = []
    folder = fetch("voc2007", tmp_path / "to", told.append)
    assert folder == tmp_path / "to" / YEAR
    assert Voc(folder, "trainval").ids == ("000001",)
    assert Voc(folder, "test").image(0).shape == (20, 30, 3)
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["VOCdevkit"]
    assert told[0].startswith("0 MB to fetch")
    assert f"--dataset voc:{folder}" in told[-1]


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    """A second call asks the server nothing at all."""
    fetch("voc2007", tmp_path / "to", lambda _: None)
    server.asked.clear()
    fetch("voc2007", tmp_path / "to", lambda _: None)
    assert server.asked == []


def test_it_goes_on_where_it_was_broken_off(server: Server, tmp_path: Path) -> None:
    """An archive that is whole is not fetched but unpacked anew, over a torn image; half an archive is fetched anew."""
    to = tmp_path / "to"
    fetch("voc2007", to, lambda _: None)
    torn = to / YEAR / "JPEGImages" / "000001.jpg"
    whole = torn.read_bytes()
    torn.write_bytes(whole[:10])
    shutil.copy(server.folder / "trainval.tar", to)
    half = (server.folder / "test.tar").read_bytes()[:512]
    (to / "test.tar").write_bytes(half)
    server.asked.clear()
    fetch("voc2007", to, lambda _: None)
    assert torn.read_bytes() == whole
    assert server.bodies() == ["/test.tar"]
    assert [path.name for path in to.iterdir()] == ["VOCdevkit"]


def test_archives_that_were_brought_by_hand_need_no_server(server: Server, tmp_path: Path) -> None:
    """Both put into the folder: they are checked and unpacked, and nobody is asked for anything."""
    to = tmp_path / "to"
    shutil.copytree(server.folder, to)
    folder = fetch("voc2007", to, lambda _: None)
    assert server.asked == []
    assert Voc(folder, "test").ids == ("000002",)


def test_another_checksum_is_refused(server: Server, tmp_path: Path) -> None:
    """One line names the address and the checksum; nothing of the file is kept or unpacked."""
    archive(server.folder / "test.tar", "test", "000666")
    with pytest.raises(DatasetError, match=r"/test\.tar gave another file than expected \(its MD5 is not ") as caught:
        fetch("voc2007", tmp_path / "to", lambda _: None)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "to" / "test.tar").exists()
    assert not (tmp_path / "to" / YEAR / "JPEGImages" / "000666.jpg").exists()
    assert Voc(tmp_path / "to" / YEAR, "trainval").ids == ("000001",)


def test_no_connection_is_one_line(server: Server, tmp_path: Path) -> None:
    """It names the address and what to do instead."""
    (server.folder / "trainval.tar").unlink()
    with pytest.raises(
        DatasetError, match=r"trainval\.tar cannot be fetched \(.*[Nn]ot [Ff]ound\); .*put the archive into"
    ):
        fetch("voc2007", tmp_path / "to", lambda _: None)


def test_too_little_room_is_said_before_anything_is_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size is told first; no archive is asked for."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    told: list[str] = []
    with pytest.raises(DatasetError, match="has 0 MB free, 0 are needed; name another with --to"):
        fetch("voc2007", tmp_path / "to", told.append)
    assert "MB to fetch" in told[0]
    assert server.bodies() == []


def test_a_name_and_a_place_that_are_not_there(tmp_path: Path) -> None:
    """An unknown data set names those there are; a file in the place of the folder is refused."""
    with pytest.raises(DatasetError, match="nothing to fetch by the name 'coco'; there is voc2007"):
        fetch("coco", tmp_path, lambda _: None)
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="file cannot be used"):
        fetch("voc2007", tmp_path / "file", lambda _: None)


def test_torchvision_still_knows_both_archives() -> None:
    """Its table has the addresses of Oxford's archives and a checksum of each; were they gone, nothing could be had."""
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    for key in FILES:
        assert set(DATASET_YEAR_DICT[key]) >= {"url", "filename", "md5", "base_dir"}
        assert DATASET_YEAR_DICT[key]["base_dir"].replace("\\", "/") == YEAR
