"""A headless Chromium driven over its own debugging protocol: no other browser library is needed."""

from __future__ import annotations

import base64
import json
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

BINARY = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--no-first-run --hide-scrollbars --remote-debugging-port=0 --disable-dev-shm-usage"
).split()
_SECONDS = 30


class Chrome:
    """One browser with one tab; what the page reports is kept in `events`."""

    def __init__(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="chrome-")
        self._process = subprocess.Popen(
            [str(BINARY), *_FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            stderr=subprocess.PIPE,
            text=True,
        )
        address = next(found[0] for line in self._process.stderr if (found := re.search(r"ws://\S+", line)))
        self._drain = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._drain.start()
        self._open = ExitStack()
        self._socket = self._open.enter_context(connect(address, max_size=None, proxy=None))
        self._answers: dict[int, queue.SimpleQueue[Any]] = {}
        self._number, self._session = 0, None
        self.events: list[tuple[str, dict[str, Any]]] = []
        threading.Thread(target=self._listen, daemon=True).start()
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        self._open.close()
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._profile, ignore_errors=True)

    def _listen(self) -> None:
        for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._answers[message["id"]].put(message)
            else:
                self.events.append((message["method"], message["params"]))

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._number += 1
        answers = self._answers[self._number] = queue.SimpleQueue()
        request = {"id": self._number, "method": method, "params": params}
        if self._session:
            request["sessionId"] = self._session
        self._socket.send(json.dumps(request))
        answer = answers.get(timeout=_SECONDS)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, url: str) -> None:
        """Go to `url` and wait until it is loaded."""
        seen = self._count("Page.loadEventFired")
        self.send("Page.navigate", url=url)
        self.wait(lambda: self._count("Page.loadEventFired") > seen, f"{url} is not loaded")

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: Any, why: str = "") -> Any:
        """Wait until `condition`, an expression of the page or a function, is true."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            value = condition() if callable(condition) else self.run(condition)
            if value:
                return value
            time.sleep(0.03)
        raise AssertionError(f"waited too long: {why or condition}")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        code = {"Enter": 13, "ArrowRight": 39, "ArrowDown": 40, "ArrowLeft": 37, "ArrowUp": 38, "Tab": 9}
        common = {"key": key, "windowsVirtualKeyCode": code.get(key, 0)}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def size(self, width: int, height: int = 900) -> None:
        """Make the window so large."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def choose_file(self, selector: str, path: Path) -> None:
        """Put a file into a file field."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def screenshot(self, path: Path) -> None:
        """Write what is seen to a PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def complaints(self) -> list[str]:
        """Return console errors, refused content, uncaught errors and dialogs so far."""
        found = []
        for method, params in list(self.events):
            if method == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            elif method == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"].get("exception", params)))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(str(params["args"]))
            elif method == "Page.javascriptDialogOpening":
                found.append(f"dialog: {params['message']}")
        return found

    def hosts(self) -> set[str]:
        """Return scheme and host of every request so far."""
        urls = [
            params["request"]["url"]
            for method, params in list(self.events)
            if method == "Network.requestWillBeSent"
        ]
        return {re.match(r"[a-z]+:(//[^/]*)?", url)[0] for url in urls}

    def _count(self, method: str) -> int:
        return sum(name == method for name, _ in list(self.events))
