"""Demands on the temporary base directory: it stands for another one, and leaves nothing."""

import os
from pathlib import Path

from enqueuer.lab.handmade import handmade, program


def test_files_are_queue_files_each_time(tmp_path: Path) -> None:
    """A plain message gets an envelope, a queue file stays as it is, and each request has a name of its own."""
    plain = tmp_path / "plain"
    queued = tmp_path / "queued"
    plain.write_bytes(b"To: b@b.example\n\ntext\n")
    queued.write_bytes(b"S DSN [0.0.0.0]\nP I x <>\n\nSubject: s\n\nt\n")
    with handmade(tmp_path, [plain, queued]) as made:
        paths = [made.take(index) for index in range(4)]
        texts = [Path(path).read_bytes() for path in paths]

    assert len(set(paths)) == 4
    assert texts[0] == texts[2]
    assert texts[0].startswith(b"P I ")
    assert b"<b@b.example>" in texts[0]
    assert [queued.read_bytes()] * 2 == texts[1::2]


def test_a_file_that_is_rewritten_is_told_and_renewed(tmp_path: Path) -> None:
    """The next request gets what the first one got."""
    (tmp_path / "mail").write_bytes(b"Subject: s\n\nt\n")
    with handmade(tmp_path, [tmp_path / "mail"]) as made:
        path = Path(made.take(0))
        before = path.read_bytes()
        path.write_bytes(b"other")
        same = made.back(str(path))
        after = Path(made.take(1)).read_bytes()
        kept = made.back(str(next(Path("Queue").iterdir())))

    assert (False, before, True) == (same, after, kept)


def test_it_stands_for_the_other(tmp_path: Path) -> None:
    """All that is there is to be seen, but Queue and Submitted are empty; then we are back, and it is gone."""
    for name in ("Settings", "Queue", "Submitted"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    before = os.getcwd()
    with handmade(tmp_path, []):
        there = Path.cwd()
        seen = sorted(str(path) for path in Path().glob("*/*"))

    assert seen == ["Settings/x"]
    assert before == os.getcwd()
    assert not there.exists()


def test_words_that_lead_out(tmp_path: Path) -> None:
    """A program beside the directory is found from elsewhere too."""
    (tmp_path / "tool").touch()
    (tmp_path / "in").mkdir()

    assert [f"{tmp_path}/in/../tool", "../none", "plain"] == program(["../tool", "../none", "plain"], tmp_path / "in")
