"""The machine and what is installed on it: Python, libraries, FAISS, processor, GPU, picture formats."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from vision_rec.diagnose.finding import Finding, Status
from vision_rec.settings import Settings, thread_count

LIBRARIES = (
    "numpy torch torchvision pillow pyarrow pandas openvino onnxruntime safetensors sentence-transformers "
    "bm25s fastapi uvicorn pydantic typer rich"
).split()
LEAST = {"torch": (2, 10), "pillow": (11, 3), "faiss-cpu": (1, 15), "faiss-gpu": (1, 15)}  # known holes below
CODECS = {"jpg": "JPEG", "zlib": "PNG", "webp": "WebP", "avif": "AVIF", "libtiff": "TIFF"}


def python() -> Iterator[Finding]:
    """Check the version of Python."""
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    yield Finding("python", "ok" if good else "fail", version, "" if good else "use Python 3.11 or newer")


def libraries() -> Iterator[Finding]:
    """Check that what the package needs is installed, without known holes."""
    for name in LIBRARIES:
        version = _installed(name)
        if version is None:
            yield Finding(name, "fail", "not installed", f"pip install {name}")
        else:
            yield _new_enough(name, version)


def _new_enough(name: str, version: str, more: str = "") -> Finding:
    least = LEAST.get(name)
    if least is not None and _numbers(version) < least:
        wanted = ".".join(map(str, least))
        return Finding(
            name, "fail", f"{version}, which has known holes", f"pip install --upgrade '{name}>={wanted}'"
        )
    return Finding(name, "ok", f"{version}{more}")


def faiss_found() -> Iterator[Finding]:
    """Check that one FAISS is installed and loads."""
    found = {name: version for name in ("faiss-cpu", "faiss-gpu") if (version := _installed(name))}
    if not found:
        yield Finding(
            "faiss",
            "warn",
            "not installed: exact search in NumPy answers, fine for small catalogues",
            'pip install "vision-rec[cpu]"',
        )
        return
    if len(found) == 2:
        yield Finding(
            "faiss",
            "fail",
            "faiss-cpu and faiss-gpu are both installed and write the same files",
            "pip uninstall -y faiss-cpu faiss-gpu, then install one of them",
        )
        return
    name, version = next(iter(found.items()))
    try:
        import faiss

        more = f", {faiss.get_compile_options().strip()}, {_gpus(faiss)}"
    except (ImportError, AttributeError, OSError) as error:
        yield Finding(
            name, "fail", f"{version} cannot be loaded: {error}", f"pip install --force-reinstall {name}"
        )
        return
    yield _new_enough(name, version, more)


def _gpus(faiss: object) -> str:
    count = getattr(faiss, "get_num_gpus", lambda: 0)()
    return f"{count} GPUs" if count else "CPU only"


def processor() -> Iterator[Finding]:
    """Say what the processor can do."""
    flags = _cpu_flags()
    fast = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16") if name in flags]
    bf16 = bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))
    detail = f"{thread_count(0)} cores, {', '.join(fast) or 'no vector units known'}"
    if flags and not bf16:
        yield Finding("cpu", "ok", f"{detail}; no bf16: encoders run in float32")
    else:
        yield Finding("cpu", "ok", detail)


def gpu(settings: Settings) -> Iterator[Finding]:
    """Say whether a GPU is there and works."""
    wanted = settings.encoders.device
    if wanted == "cpu" or not (Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi")):
        status: Status = "fail" if wanted == "cuda" else "ok"
        fix = "set encoders.device to auto, or install the NVIDIA driver" if wanted == "cuda" else ""
        yield Finding(
            "gpu", status, "none is used" if wanted == "cpu" else "none found; the CPU is used", fix
        )
        return
    try:
        import torch

        works = torch.cuda.is_available() and float(torch.ones(2, device="cuda").sum()) == 2.0
        detail = torch.cuda.get_device_name(0) if works else "a driver is there, but torch cannot use it"
    except (ImportError, RuntimeError, OSError) as error:
        works, detail = False, f"torch cannot use it: {error}"
    fix = "" if works else "update the driver, or install the torch build for its CUDA version"
    yield Finding("gpu", "ok" if works else "fail" if wanted == "cuda" else "warn", detail, fix)


def picture_formats() -> Iterator[Finding]:
    """Check that all picture formats can be read."""
    from PIL import features

    missing = [name for code, name in CODECS.items() if not features.check(code)]
    if missing:
        fix = "pip install --force-reinstall pillow (its wheels bring all of them)"
        yield Finding("picture formats", "fail", f"cannot read {', '.join(missing)}", fix)
    else:
        yield Finding("picture formats", "ok", ", ".join(CODECS.values()))


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("+")[0].split(".")[:2] if part.isdigit())


def _cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(flags, "").split())
