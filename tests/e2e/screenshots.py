"""`make screenshots`: the page as README.md shows it."""

import tempfile
from pathlib import Path

from tests.support.browser import PHONE, Visit, chromium
from tests.support.entry_points import ROOT, LocalServer
from tests.support.iris import iris_csv

FOLDER = ROOT / "tests" / "screenshots"


def take(visit: Visit, name: str) -> None:
    """Take a picture once the answer and its explanation are there."""
    visit.answered().page.wait_for_selector("#why:not(.old) #why-bars li")
    visit.page.screenshot(path=FOLDER / name)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalServer.start(Path(folder) / "log", PORT="8000") as server,  # the address that README.md has
        chromium() as browser,
    ):
        url = "http://localhost:8000"
        assert server.url.endswith(":8000")
        with Visit.start(browser, url, size=(1280, 640)) as visit:
            take(visit, "try.png")
            visit.choose("iris.csv", iris_csv())
            visit.predict()
            visit.page.set_viewport_size({"width": 1280, "height": 1280})
            visit.page.screenshot(path=FOLDER / "file.png")
        with Visit.start(browser, url, size=(1280, 640), is_dark=True) as visit:
            take(visit, "dark.png")
        with Visit.start(browser, url, size=PHONE) as visit:
            take(visit, "phone.png")
    for path in sorted(FOLDER.glob("*.png")):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
