"""Taking pictures, with a browser that only writes down what it is asked."""

from types import SimpleNamespace

from gradio_app.screenshots import PHONE, PICTURES, Picture, chromium, take


class Browser:
    """A window of a browser, its own context and page."""

    def __init__(self):
        self.opened, self.waited, self.closed = [], [], False
        self.first = self

    def new_context(self, **options):
        self.options = options
        return self

    def new_page(self):
        return self

    def goto(self, url):
        self.opened.append(url)

    def locator(self, selector, **_):
        return SimpleNamespace(first=self, wait_for=self.wait_for) if selector else self

    def wait_for(self, **_):
        self.waited.append(self.opened[-1])

    def wait_for_timeout(self, _):
        self.waited.append("settled")

    def screenshot(self, *, path, full_page):
        self.full_page = full_page
        path.write_bytes(b"png")

    def close(self):
        self.closed = True


def test_a_picture_is_taken_once_the_page_shows_it_and_replaces_the_old_one(tmp_path):
    (tmp_path / "feed.png").write_bytes(b"old")
    browser = Browser()
    picture = Picture("feed", "tab=feed", "#bw-feed table", size=PHONE, scheme="dark", whole=True)
    file = take(browser, "http://page", picture, tmp_path)
    assert file.read_bytes() == b"png"
    assert [path.name for path in tmp_path.iterdir()] == ["feed.png"]
    assert browser.opened == ["http://page/?tab=feed"]
    assert browser.waited == [*browser.opened * 2, "settled"]
    assert browser.options["viewport"] == {"width": 390, "height": 844}
    assert browser.options["color_scheme"] == "dark"
    assert browser.full_page
    assert browser.closed


def test_every_picture_has_its_own_file():
    assert len({picture.name for picture in PICTURES}) == len(PICTURES)


def test_without_a_chromium_on_the_path_none_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chromium() == ""
    program = tmp_path / "google-chrome"
    program.touch(mode=0o755)
    assert chromium() == str(program)
