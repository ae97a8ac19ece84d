"""A real browser, and the Lambda handler behind a small HTTP front for it."""

import base64
import contextlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.support.entry_points import Call, Handler, http_api_event

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DESKTOP, PHONE = (1280, 860), (390, 844)
BY_THE_BROWSER = "Failed to load resource"  # it says so of each answer that isn't a success


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium, or skip where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """An open page, with its requests and its errors."""

    page: Page
    url: str
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, browser: Browser, url: str, *, size: tuple[int, int] = DESKTOP, is_dark: bool = False, **options: Any
    ) -> Iterator[Self]:
        """Open the page; at the end check that it had no errors and called only its own service."""
        viewport: Any = {"width": size[0], "height": size[1]}
        with browser.new_context(viewport=viewport, color_scheme="dark" if is_dark else "light", **options) as context:
            context.set_default_timeout(15_000)
            page = context.new_page()
            visit = cls(page, url)
            page.on("request", visit.see)
            page.on("console", visit.hear)
            page.on("pageerror", lambda error: visit.complaints.append(str(error)))
            page.goto(url)
            yield visit
            assert visit.complaints == []
            origins = {"{0.scheme}://{0.netloc}".format(urlsplit(request.url)) for request in visit.requests}
            assert origins - {"blob://", "data://"} <= {"{0.scheme}://{0.netloc}".format(urlsplit(url))}

    def see(self, request: Request) -> None:
        self.requests.append(request)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(BY_THE_BROWSER):
            self.complaints.append(message.text)

    def answered(self) -> Self:
        """Wait until the first answer is there."""
        self.page.wait_for_selector("#label:not(:empty)")
        return self

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    def go(self, part: str) -> None:
        self.page.get_by_role("link", name=part, exact=True).click()

    def choose(self, name: str, content: str | bytes | Path) -> None:
        """Choose a file, and wait until it has been read."""
        self.go("File")
        if isinstance(content, Path):
            content = content.read_bytes()
        data = content.encode() if isinstance(content, str) else content
        payload: Any = {"name": name, "mimeType": "text/csv", "buffer": data}
        self.page.set_input_files("#file", payload)
        self.page.wait_for_selector(f"#reading:not([hidden]) :text('{name}'), #file-fault:not(:empty)")

    def predict(self) -> None:
        """Send the file, and wait for the last answer."""
        self.page.click("#run")
        self.page.wait_for_selector("#progress-text:has-text('answered')", timeout=60_000)


@contextlib.contextmanager
def lambda_front(handler: Handler, stage: str) -> Iterator[str]:
    """Serve the Lambda handler over HTTP below a path of its own, as a stage or a proxy has it."""

    class Front(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if not f"{self.path}/".startswith(f"{stage}/"):
                return self.send_error(404)
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call("front", self.command, self.path.removeprefix(stage) or "/", body, headers)
            answer = handler(http_api_event(call), None)
            self.send_response(answer["statusCode"])
            for name, value in answer["headers"].items():
                self.send_header(name, value)
            self.end_headers()
            body = answer["body"].encode()
            self.wfile.write(base64.b64decode(body) if answer["isBase64Encoded"] else body)
            return None

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Front) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{stage}"
        finally:
            server.shutdown()
            thread.join()
