"""A real redis-server of a test's own, on a free port; skips with a clear word where there is none."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

PATIENCE = 60  # seconds; only a hang takes that long


class RedisServer:
    """A server whose files lie in `folder`; it can be killed, stopped and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.binary = shutil.which("redis-server")
        if self.binary is None:
            pytest.skip("redis-server is not installed: apt-get install redis-server")
        pytest.importorskip("redis", reason='its client is not installed: pip install "vision-rec[redis]"')
        self.folder, self.options = folder, options
        folder.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        for _ in range(20):
            self.port = self.port or _free_port()
            defaults = ["--appendonly", "yes", "--save", "", "--daemonize", "no", "--bind", "127.0.0.1"]
            self.process = subprocess.Popen(
                [self.binary, "--port", str(self.port), "--dir", str(self.folder), *defaults, *self.options],
                stdout=(self.folder / "server.log").open("ab"),
                stderr=subprocess.STDOUT,
            )
            if self._answers():
                return self
            self.port = 0  # somebody else was quicker to take it
        raise AssertionError((self.folder / "server.log").read_text("utf-8", "replace")[-2000:])

    def _answers(self) -> bool:
        import redis

        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends and self.process.poll() is None:
            try:
                with redis.Redis(port=self.port, socket_timeout=5) as client:
                    client.ping()  # an error while it reads its files
                    return client.info("server")["process_id"] == self.process.pid
            except redis.RedisError:
                time.sleep(0.02)
        return False

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
