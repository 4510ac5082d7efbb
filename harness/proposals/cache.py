"""Boxes of a whole data set: computed once, by several processes, and kept by the content of the image.

Each image has one file, named after the digest of its pixels and of the source's settings, with all its boxes and the
seconds that they took. It is written as soon as the image is done, so a run that is killed goes on where it was. What
comes out does not depend on the number of workers; the seconds do, so a study of those uses 0 or 1.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.datasets import Dataset
from harness.proposals import ProposalError, ProposalSet, ProposalSource
from harness.proposals.precomputed import Precomputed
from harness.proposals.uniform import Uniform

__all__ = ["default_cache_dir", "gather"]

_FORMAT = 1
"""Part of every digest; raised when the meaning of a cache file changes."""
_POOL_PAYS_FROM = 4
"""Fewer missing images than this are done before a pool of fresh processes has started."""


@dataclass(frozen=True, slots=True)
class Found:
    """The boxes of one image, all of them, and what finding them took."""

    boxes: npt.NDArray[np.float32]
    seconds: float


def default_cache_dir() -> Path:
    """``$HARNESS_CACHE``, else ``$XDG_CACHE_HOME/rcnn-harness``, else ``~/.cache/rcnn-harness``."""
    if chosen := os.environ.get("HARNESS_CACHE"):
        return Path(chosen)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "rcnn-harness"
    return Path.home() / ".cache" / "rcnn-harness"


class _Store:
    """Files of a cache folder that belong to one source."""

    def __init__(self, folder: Path, source: ProposalSource) -> None:
        self._folder = folder
        self._settings = json.dumps([_FORMAT, dict(source.settings)], sort_keys=True).encode()

    def path(self, image: npt.NDArray[np.uint8]) -> Path:
        """``<first 2 hex digits>/<digest>.npz``: folders of a few files each."""
        digest = hashlib.sha256(self._settings)
        digest.update(str(image.shape).encode())
        digest.update(np.ascontiguousarray(image).tobytes())
        key = digest.hexdigest()
        return self._folder / key[:2] / f"{key}.npz"

    def read(self, path: Path) -> Found | None:
        """What was kept; None where there is nothing, or nothing that can be used."""
        try:
            # Opened here because NumPy leaves a damaged file open.
            with path.open("rb") as file:
                kept = np.load(file, allow_pickle=False)
                boxes, seconds = kept["boxes"], kept["seconds"]
        # A damaged file is worth no more than a missing one: its boxes are found anew.
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError):
            return None
        usable = boxes.dtype == np.float32 and boxes.ndim == 2 and boxes.shape[1] == 4
        usable = usable and seconds.dtype == np.float64 and seconds.shape == ()
        return Found(boxes, float(seconds)) if usable else None

    def write(self, path: Path, found: Found) -> None:
        """Keep boxes so that a reader sees all of them or none."""
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with unfinished.open("wb") as file:
                    np.savez_compressed(file, boxes=found.boxes, seconds=np.float64(found.seconds))
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise ProposalError(
                f"proposal cache {self._folder} cannot be written ({error}): set HARNESS_CACHE to another folder"
            ) from None


def _find(dataset: Dataset, source: ProposalSource, index: int) -> Found:
    """Compute the boxes of one image. The image is read before the clock starts."""
    image_id, image = dataset.ids[index], dataset.image(index)
    start = time.perf_counter()
    boxes = source.propose(image_id, image)
    seconds = time.perf_counter() - start
    if boxes.dtype != np.float32 or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ProposalError(f"boxes of {image_id}: expected float32 of shape (P, 4), got {boxes.dtype} {boxes.shape}")
    return Found(boxes, seconds)


_work: tuple[Dataset, ProposalSource] | None = None
"""What a worker process works on, sent once at its start and not with every image."""


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _start_worker(dataset: Dataset, source: ProposalSource) -> None:
    global _work
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A parent that is killed cannot stop its workers, and an idle worker would wait for ever.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    import cv2

    # One process a core beats threads. Safe in a spawned process only: after a fork this call hangs.
    cv2.setNumThreads(1)
    _work = (dataset, source)


def _find_in_worker(index: int) -> Found:
    if _work is None:
        raise RuntimeError("a proposal worker was not started by gather")
    return _find(*_work, index)


def _find_in_pool(
    dataset: Dataset, source: ProposalSource, missing: Sequence[int], workers: int
) -> Generator[tuple[int, Found], None, None]:
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(workers, len(missing)), multiprocessing.get_context("spawn"), _start_worker, (dataset, source)
    )
    finished = False
    try:
        futures = {pool.submit(_find_in_worker, index): index for index in missing}
        for future in as_completed(futures):
            yield futures[future], future.result()
        finished = True
    except BrokenProcessPool:
        raise ProposalError(
            "a proposal worker died, perhaps for lack of memory: run again with fewer workers; "
            "the images that were done are kept"
        ) from None
    finally:
        children = set(multiprocessing.active_children()) - before
        pool.shutdown(wait=finished, cancel_futures=True)
        if not finished:
            # An image may take seconds, and nobody waits for its boxes any more.
            for child in children:
                child.terminate()


def _find_all(
    dataset: Dataset, source: ProposalSource, missing: Sequence[int], workers: int
) -> Generator[tuple[int, Found], None, None]:
    if workers > 0 and len(missing) >= _POOL_PAYS_FROM:
        yield from _find_in_pool(dataset, source, missing, workers)
    else:
        for index in missing:
            yield index, _find(dataset, source, index)


def _gather_all(
    dataset: Dataset, source: ProposalSource, store: _Store, workers: int, on_progress: Callable[[int, int], None]
) -> dict[int, Found]:
    found: dict[int, Found] = {}
    missing: dict[int, Path] = {}
    count = len(dataset.ids)
    for index in range(count):
        path = store.path(dataset.image(index))
        kept = store.read(path)
        if kept is None:
            missing[index] = path
        else:
            found[index] = kept
            on_progress(len(found), count)
    # Closed at once when a write fails or the user interrupts, so that no worker goes on behind the error.
    with closing(_find_all(dataset, source, list(missing), workers)) as results:
        for index, result in results:
            store.write(missing[index], result)
            found[index] = result
            on_progress(len(found), count)
    return found


def _look_up_all(
    dataset: Dataset, source: Precomputed | Uniform, on_progress: Callable[[int, int], None]
) -> list[npt.NDArray[np.float32]]:
    boxes = []
    for index, image_id in enumerate(dataset.ids):
        boxes.append(source.propose(image_id, dataset.image(index)))
        on_progress(len(boxes), len(dataset.ids))
    return boxes


def gather(
    dataset: Dataset,
    source: ProposalSource,
    *,
    max_proposals: int,
    cache_dir: Path,
    workers: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> ProposalSet:
    """The first `max_proposals` boxes of every image, from the cache where it has them.

    `workers` is the number of processes for what is missing; 0 is this process. `on_progress` hears how many images of
    how many are done.

    Raises:
        ProposalError: the source refuses an image, a worker died, or the cache cannot be written.
        DatasetError: an image cannot be read.
    """
    if max_proposals < 1 or workers < 0:
        raise ProposalError(f"expected max_proposals >= 1 and workers >= 0, got {max_proposals} and {workers}")
    hear = on_progress or (lambda done, total: None)
    ids = tuple(dataset.ids)
    seconds: tuple[float | None, ...] = (None,) * len(ids)
    # They go by the image's name, and are had sooner than a cache is read.
    if isinstance(source, Precomputed | Uniform):
        boxes = _look_up_all(dataset, source, hear)
    else:
        found = _gather_all(dataset, source, _Store(cache_dir, source), workers, hear)
        boxes = [found[index].boxes for index in range(len(ids))]
        seconds = tuple(found[index].seconds for index in range(len(ids)))
    # Copies, so that the boxes beyond the cap are not kept in memory.
    return ProposalSet(ids, tuple(each[:max_proposals].copy() for each in boxes), seconds)
