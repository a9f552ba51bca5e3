"""The folders of earlier runs make room for new ones; what else lies there stays."""

from pipelines.local import _forget_old_runs


def test_only_folders_of_runs_are_removed(tmp_path):
    runs = [f"20260101T00000{number % 10}-training-{number:06x}" for number in range(12)]
    others = ["notes", "2026", "20260101T000000-training-abc", ".cache"]
    for name in (*runs, *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.txt").write_text("words")
    _forget_old_runs(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*sorted(runs)[-10:], *others}


def test_what_a_link_leads_to_is_not_removed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "notes.txt").write_text("of somebody")
    runs = tmp_path / "runs"
    runs.mkdir()
    for number in range(12):
        (runs / f"2026010{number % 10}T000000-refresh-{number:06x}").symlink_to(
            tmp_path / "elsewhere"
        )
    _forget_old_runs(runs)
    assert (tmp_path / "elsewhere" / "notes.txt").exists()
