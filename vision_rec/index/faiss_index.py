"""FAISS search: flat, HNSW and IVF by inner product, on the CPU or, for flat and IVF, on a GPU.

Memory: flat on the CPU searches `rows` where they lie, without a copy; HNSW, IVF and a GPU hold one copy.
Disk: rows are never stored again; HNSW saves its graph, IVF its centroids and the list of each row.
"""

from __future__ import annotations

import logging
import threading
from functools import cache
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np

from vision_rec.errors import InputError, IntegrityError, UnavailableError
from vision_rec.index import Hits, Mask, Rows
from vision_rec.index.exact import ExactIndex, checked_mask, checked_queries, no_hits, put_hits
from vision_rec.index.files import load_array
from vision_rec.types import Array

Kind = Literal["flat", "hnsw", "ivf"]
KINDS: tuple[Kind, ...] = ("flat", "hnsw", "ivf")
_HNSW_LINKS, _HNSW_BUILD_EFFORT, _HNSW_EFFORT, _HNSW_MOST_EFFORT = 32, 100, 512, 8192
_NARROW_SHARE, _NARROW_ROWS = 20, 2048  # up to 1/20 of the rows, or so few: scan the allowed rows
_SELECTOR_BELOW = 4  # queries; FAISS has no matrix product under a selector, the exact scan has
_BLAS_FROM = 4  # queries; FAISS's own default switches to the matrix product at ~ 256, 2–12 × slower
_SPARE = 16  # candidates beyond k, so that rescoring decides near ties and not rounding
_GPU_MOST_K = 2048
_GRAPH, _CENTROIDS, _LISTS = "hnsw.faiss", "ivf.faiss", "ivf-lists.npy"

_log = logging.getLogger(__name__)
_reading = threading.Lock()  # FAISS's deserialization limits are global


class FaissIndex:
    """One FAISS index over `rows` (N, D); filters and deletions never reach a GPU or a graph alone."""

    def __init__(
        self, rows: Array, kind: str = "flat", *, device: str = "auto", folder: Path | None = None
    ) -> None:
        if kind not in KINDS:
            raise InputError(f"index kind {kind!r} is not one of FAISS's; allowed are {', '.join(KINDS)}")
        self.kind = kind
        self._exact = ExactIndex(rows)
        self._rows = np.ascontiguousarray(rows, dtype=np.float32)
        self._lists = np.empty(0, dtype=np.int32)  # of IVF: which list each row is in
        self._quantizer: Any = None
        self._parts: Any = None  # what the FAISS index points to and does not own
        self._gpu = threading.Lock()  # GPU resources serve one search at a time
        self.on_gpu = kind != "hnsw" and use_gpu(device)
        self._native: Any = None if not len(self._rows) else self._make(folder)

    @classmethod
    def load(cls, folder: Path, rows: Array, kind: str, *, device: str = "auto") -> FaissIndex:
        """Load what `save` wrote over the same `rows`; raises IntegrityError where the files do not fit."""
        return cls(rows, kind, device=device, folder=folder)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def effort(self) -> int:
        """How much one search looks at: HNSW's efSearch, IVF's lists, 0 for flat."""
        if self._native is None or self.kind == "flat":
            return 0
        return int(self._native.hnsw.efSearch if self.kind == "hnsw" else self._native.nprobe)

    def raise_effort(self) -> bool:
        """Double `effort` and return True, or return False where nothing is left to raise."""
        most = min(_HNSW_MOST_EFFORT, len(self)) if self.kind == "hnsw" else _list_count(len(self))
        if not 0 < self.effort < most:
            return False
        if self.kind == "hnsw":
            self._native.hnsw.efSearch = min(most, self.effort * 2)
        else:
            self._native.nprobe = min(most, self.effort * 2)
        return True

    def search(self, queries: Array, k: int, *, allowed: Mask | None = None) -> Hits:
        """Search `queries` (n, D) among the rows where `allowed` (N,) is true (all where None).

        Scores are those of the exact index; rows may differ for HNSW and IVF. Where those find too few
        rows, the exact scan answers.
        """
        queries = checked_queries(self._rows, queries, k)
        allowed = checked_mask(self._rows, allowed)
        count = len(self) if allowed is None else int(np.count_nonzero(allowed))
        asked = min(k + _SPARE, count)
        if not asked or not len(queries) or self._scan(count, len(queries), asked, allowed):
            return self._exact.search(queries, k, allowed=allowed)
        found = self._candidates(queries, asked, allowed)
        if found.min() < -1 or found.max() >= len(self):
            raise IntegrityError(f"the {self.kind} index named a row outside 0–{len(self) - 1}; reindex")
        hits = no_hits(len(queries), k)
        for i, query in enumerate(queries):
            rows = found[i][found[i] >= 0]
            if allowed is not None:
                rows = rows[allowed[rows]]
            if len(rows) >= min(k, count):
                put_hits(hits, i, self._rows, query, rows)
                continue
            whole = self._exact.search(query[None], k, allowed=allowed)
            hits.rows[i], hits.scores[i] = whole.rows[0], whole.scores[0]
        return hits

    def save(self, folder: Path) -> None:
        """Write HNSW's graph or IVF's lists into `folder`; flat needs no file beside the rows."""
        if self._native is None or self.kind == "flat":
            return
        folder.mkdir(parents=True, exist_ok=True)
        if self.kind == "hnsw":
            faiss.write_index(self._native, str(folder / _GRAPH), faiss.IO_FLAG_SKIP_STORAGE)
            return
        bare = self._bare_ivf()
        bare.nprobe = self._native.nprobe
        faiss.write_index(bare, str(folder / _CENTROIDS))
        np.save(folder / _LISTS, self._lists, allow_pickle=False)

    def _scan(self, count: int, n: int, asked: int, allowed: Mask | None) -> bool:
        """Tell whether the exact scan answers this search better than the FAISS index."""
        if self.on_gpu and allowed is None:
            return asked > _GPU_MOST_K
        if allowed is None:
            return False
        if self.kind == "flat":
            return n >= _SELECTOR_BELOW
        return self.on_gpu or count <= max(_NARROW_ROWS, len(self) // _NARROW_SHARE)

    def _candidates(self, queries: Array, asked: int, allowed: Mask | None) -> Rows:
        """Return the rows (n, asked) FAISS finds nearest, −1 where none."""
        selector = (
            None if allowed is None else faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        )
        if self.kind == "flat" and not (self.on_gpu and selector is None):
            return _scan_rows(self._rows, queries, asked, selector)
        if self.on_gpu:
            with self._gpu:
                return np.asarray(self._native.search(queries, asked)[1], dtype=np.int64)
        if self.kind == "hnsw":
            options = faiss.SearchParametersHNSW(sel=selector, efSearch=max(self.effort, 2 * asked))
        else:
            options = faiss.SearchParametersIVF(sel=selector, nprobe=self.effort)
        return np.asarray(self._native.search(queries, asked, params=options)[1], dtype=np.int64)

    def _make(self, folder: Path | None) -> Any:
        """Build the FAISS index, or load it from `folder`; None for flat on the CPU, which needs none."""
        if self.kind == "hnsw":
            return self._build_hnsw() if folder is None else self._load_hnsw(folder / _GRAPH)
        if self.kind == "ivf":
            native = self._build_ivf() if folder is None else self._load_ivf(folder)
            return faiss.index_cpu_to_gpu(_gpu_resources(), 0, native) if self.on_gpu else native
        if not self.on_gpu:
            return None
        native = faiss.GpuIndexFlatIP(_gpu_resources(), self._rows.shape[1])
        native.add(self._rows)
        return native

    def _build_hnsw(self) -> Any:
        native = faiss.IndexHNSWFlat(self._rows.shape[1], _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        native.hnsw.efConstruction = _HNSW_BUILD_EFFORT
        native.hnsw.efSearch = min(_HNSW_EFFORT, max(1, len(self)))
        native.add(self._rows)
        return native

    def _load_hnsw(self, path: Path) -> Any:
        native = _read(path, len(self))
        self._check_native(native, path, faiss.IndexHNSWFlat, len(self))
        links = faiss.vector_to_array(native.hnsw.neighbors)
        if links.size and not (-1 <= int(links.min()) and int(links.max()) < len(self)):
            raise IntegrityError(f"{path} links rows outside 0–{len(self) - 1}; reindex")
        self._parts = faiss.IndexFlatIP(self._rows.shape[1])
        self._parts.add(self._rows)
        native.storage = self._parts
        native.own_fields = False
        return native

    def _build_ivf(self) -> Any:
        self._quantizer = faiss.IndexFlatIP(self._rows.shape[1])
        native = self._bare_ivf()
        native.train(self._rows)
        self._lists = self._quantizer.search(self._rows, 1)[1].ravel().astype(np.int32)
        native.nprobe = max(1, native.nlist // 4)
        return self._filled_ivf(native)

    def _load_ivf(self, folder: Path) -> Any:
        path = folder / _CENTROIDS
        native = _read(path, len(self))
        self._check_native(native, path, faiss.IndexIVFFlat, 0)
        self._lists = np.array(load_array(folder / _LISTS, np.int32, (len(self),)))
        lists = _list_count(len(self))
        if native.nlist != lists or not ((self._lists >= 0) & (self._lists < lists)).all():
            raise IntegrityError(f"{folder / _LISTS} does not name one of {lists} lists for every row")
        self._quantizer = faiss.downcast_index(native.quantizer)
        self._parts = native  # owns the quantizer
        return self._filled_ivf(native)

    def _bare_ivf(self) -> Any:
        rows, dim = self._rows.shape
        return faiss.IndexIVFFlat(self._quantizer, dim, _list_count(rows), faiss.METRIC_INNER_PRODUCT)

    def _filled_ivf(self, native: Any) -> Any:
        where = self._lists.astype(np.int64)
        native.add_core(len(self), faiss.swig_ptr(self._rows), None, faiss.swig_ptr(where))
        return native

    def _check_native(self, native: Any, path: Path, wanted: Any, count: int) -> None:
        inner = native.metric_type == faiss.METRIC_INNER_PRODUCT
        size = (native.ntotal, native.d)
        fits = isinstance(native, wanted) and inner and size == (count, self._rows.shape[1])
        if fits and self.kind == "ivf" and not 0 < native.nprobe <= native.nlist:
            raise IntegrityError(f"{path} looks at {native.nprobe} of {native.nlist} lists; reindex")
        if not fits:
            raise IntegrityError(
                f"{path} holds {type(native).__name__} of {size[0]} × {size[1]}; expected "
                f"{wanted.__name__} of {count} × {self._rows.shape[1]} by inner product"
            )


def _list_count(count: int) -> int:
    """Return how many lists IVF splits `count` rows into: 4·√N, with at least 39 rows each to learn from."""
    return max(1, min(int(4 * count**0.5), count // 39))


def _scan_rows(rows: Array, queries: Array, k: int, selector: Any) -> Rows:
    """Search `rows` (N, D) where they lie; FAISS's flat index would copy them."""
    n, dim = queries.shape
    scores = np.empty((n, k), dtype=np.float32)
    found = np.empty((n, k), dtype=np.int64)
    faiss.cvar.distance_compute_blas_threshold = _BLAS_FROM * dim  # counted in values, not queries
    data, out = (
        (faiss.swig_ptr(queries), faiss.swig_ptr(rows)),
        (faiss.swig_ptr(scores), faiss.swig_ptr(found)),
    )
    faiss.knn_inner_product(*data, dim, n, len(rows), k, *out, selector)
    return found


def _read(path: Path, count: int) -> Any:
    """Read a FAISS file of `count` rows with the library's limits on, which ship switched off."""
    try:
        size = path.stat().st_size
        with _reading:
            faiss.set_deserialization_vector_byte_limit(int(1.1 * size) + 4096)
            faiss.set_deserialization_loop_limit(10 * count + 1_000_000)
            return faiss.read_index(str(path))
    except (OSError, RuntimeError, MemoryError) as error:
        raise IntegrityError(f"FAISS cannot read {path}: {str(error).strip().splitlines()[-1]}") from error


def use_gpu(device: str) -> bool:
    """Decide where to search: `cpu`, `cuda` (UnavailableError without one) or `auto`."""
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device is {device!r}; allowed are auto, cpu, cuda")
    if device == "cpu":
        return False
    problem = gpu_problem()
    if problem and device == "cuda":
        raise UnavailableError(
            f"FAISS has no GPU: {problem}; give device cpu or auto, or install the GPU build with "
            '`pip install "vision-rec[gpu]"` in place of faiss-cpu'
        )
    return not problem


@cache
def gpu_problem() -> str:
    """Say why FAISS cannot search on a GPU here; empty where a probe search answered right."""
    problem = _probe_gpu()
    if problem:
        _log.info("FAISS searches on the CPU: %s", problem)
    return problem


def _probe_gpu() -> str:
    if not hasattr(faiss, "StandardGpuResources"):
        return "this FAISS is built without GPU support"
    try:
        if faiss.get_num_gpus() < 1:
            return "no CUDA device is visible"
        probe = faiss.GpuIndexFlatIP(_gpu_resources(), 8)
        probe.add(np.eye(8, dtype=np.float32))
        found = probe.search(np.eye(8, dtype=np.float32), 1)[1].ravel()
    except (RuntimeError, MemoryError, TypeError) as error:
        return f"the probe search failed: {str(error).strip().splitlines()[-1]}"
    return "" if found.tolist() == list(range(8)) else "the probe search gave wrong rows"


@cache
def _gpu_resources() -> Any:
    return faiss.StandardGpuResources()
