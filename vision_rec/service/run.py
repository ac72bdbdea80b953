"""Run the service: one socket on this machine, uvloop and httptools, one or several workers."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from vision_rec.access import Access
from vision_rec.errors import UnavailableError
from vision_rec.recommend import Recommender
from vision_rec.service.app import create_app
from vision_rec.service.core import Service
from vision_rec.service.limits import check_host
from vision_rec.service.logs import configure_logs
from vision_rec.service.metrics import MULTIPROCESS_DIR
from vision_rec.settings import ServiceSettings, Settings

log = logging.getLogger("vision_rec.service")
_BACKLOG = 512
_KEEP_ALIVE_SECONDS = 30
_WORKER_SECONDS = 60  # a new worker answers once its imports are done; on a busy machine 5 s are too short


def serve(settings: Settings, recommender: Recommender | None = None) -> None:
    """Serve until SIGTERM, which ends it cleanly, or Ctrl-C, which raises KeyboardInterrupt.

    A `recommender` already open serves one worker only. Raises InputError for a host that is not this
    machine where there are no keys, IntegrityError for damaged keys, UnavailableError for a port in use.
    """
    service = settings.service
    access = Access(settings)  # raises where the keys cannot be read: never open by mistake
    check_host(service, access)
    configure_logs()
    with ExitStack() as stack:
        listener = stack.enter_context(listen(service))
        log.info("listening", extra={"url": address(listener), "workers": service.workers})
        _tell_who_may_ask(access)
        if service.workers == 1 or recommender is not None:
            app = create_app(settings, recommender)
            Server(_config(app, service), app.state.service).run([listener])
            return
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vision-rec-metrics-"))
        os.environ[MULTIPROCESS_DIR] = folder  # the workers' figures meet there
        stack.callback(os.environ.pop, MULTIPROCESS_DIR, None)
        config = _config(WorkerApp(settings), service, factory=True)
        config.timeout_worker_healthcheck = _WORKER_SECONDS
        Multiprocess(config, sockets=[listener]).run()


def _tell_who_may_ask(access: Access) -> None:
    if access.is_open:
        log.warning("open to everybody on this machine: there are no API keys")
    elif not access.valid_keys:
        log.warning("all API keys are expired or revoked: only health is answered")
    else:
        log.info("API keys are required", extra={"valid": access.valid_keys})


@dataclass(frozen=True)
class WorkerApp:
    """Makes the app inside a worker; it travels there by pickle."""

    settings: Settings

    def __call__(self) -> FastAPI:
        """Build the app of this worker."""
        configure_logs()
        threading.Thread(target=_end_with_parent, daemon=True).start()
        return create_app(self.settings)


def _end_with_parent() -> None:
    """End this worker when the process that started it is gone, so that none holds the port alone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


class Server(uvicorn.Server):
    """One worker in this process: not ready at once when told to stop, and SIGTERM is a clean end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop accepting, finish what runs, then end."""
        self._service.draining = True
        super().handle_exit(sig, frame)
        if sig == signal.SIGTERM:
            self._captured_signals.clear()  # else it would be raised again, and the exit status be 143


def listen(service: ServiceSettings) -> socket.socket:
    """Bind the port; 0 takes a free one."""
    family = socket.AF_INET6 if ":" in service.host else socket.AF_INET
    try:
        return socket.create_server((service.host, service.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UnavailableError(
            f"cannot listen on {service.host} port {service.port}: {error.strerror}; "
            "stop what uses it or choose another port"
        ) from error


def address(listener: socket.socket) -> str:
    """Return the URL that a listening socket answers at."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(app: FastAPI | WorkerApp, service: ServiceSettings, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=factory,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        workers=service.workers,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(service.drain_seconds) or 1,
    )
