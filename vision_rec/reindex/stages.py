"""The stages of a run in their order; each reads what the one before left in the staging file."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from vision_rec.catalog import CatalogTable
from vision_rec.errors import FeedError
from vision_rec.failpoints import failpoint
from vision_rec.reindex import build, checks
from vision_rec.reindex.blocks import PictureBlocks, set_todo
from vision_rec.reindex.broken import (
    count_without_picture,
    guard_against_lost_pictures,
    guard_against_unusable_pictures,
    set_retries,
    tell_old_problems,
)
from vision_rec.reindex.chunks import ChunkStore
from vision_rec.reindex.context import Context
from vision_rec.reindex.encode import ChunkEncoder
from vision_rec.reindex.intake import take_feed, take_reviews
from vision_rec.reindex.pictures import (
    PictureFinder,
    find_placeholders,
    set_image_hashes,
)
from vision_rec.reindex.plan import (
    count_plan,
    guard_against_shrinking,
    read_chunks,
    set_targets,
    take_gone,
    take_parent,
)
from vision_rec.reindex.report import Check


def plan(context: Context) -> None:
    """Read feed, reviews and pictures' files, and decide what each row of the new version needs.

    Raises FeedError where the feed is unusable or has lost too much (with `plan_only` that is a note).
    """
    staging, journal, inputs = context.staging, context.journal, context.inputs
    feed, tell = context.settings.feed, context.progress
    parent = CatalogTable.load(context.parent.catalog_path) if context.parent else None
    stale = context.stale
    with journal.stage("plan"):
        if parent is not None:
            take_parent(parent.records(), staging)
    staging.trusts_text_hashes = not stale.text_changed
    take_feed(inputs.feed, staging, journal, settings=feed, progress=tell)
    failpoint("reindex.feed-staged")
    if inputs.reviews is not None:
        lose = inputs.allow_shrink
        take_reviews(inputs.reviews, staging, journal, settings=feed, progress=tell, may_lose=lose)
    if parent is not None:
        take_gone(parent.records(), staging)
    _find_pictures(context, gone_too=stale.image_changed)
    failpoint("reindex.pictures-found")
    with journal.stage("plan"):
        set_targets(staging, stale, now=inputs.now, retire_days=context.settings.feed.retire_days)
        journal.plan = count_plan(staging, stale)
        if context.behaviour is not None and context.parent is not None and context.is_behaviour_new:
            changed = context.behaviour.count_changed(staging, context.parent)
            journal.plan = replace(journal.plan, behaviour_changed=changed)
        elif context.parent is not None and context.is_behaviour_new:
            journal.notes.append("the block behaviour is dropped: there is no session pair, nor --views")
    if parent is not None:
        tell_old_problems(staging, context.cache, journal)
        journal.products_without_image = count_without_picture(staging)
    failpoint("reindex.planned")
    _guard(context)


def _find_pictures(context: Context, *, gone_too: bool) -> None:
    from vision_rec.fetch import Fetcher

    limits = context.settings.images
    finder = PictureFinder(
        context.inputs.images,
        lambda: Fetcher(limits, context.settings.paths.data / "cache" / "images"),
        context.cache,
        limits=limits,
        refresh=context.inputs.refresh_images,
    )
    finder.find(context.staging, context.journal, context.progress, gone_too=gone_too)
    find_placeholders(context.staging, context.journal)
    set_image_hashes(context.staging)
    if context.parent is not None:
        set_retries(context.staging, context.cache)


def _guard(context: Context) -> None:
    if context.parent is None or context.inputs.allow_shrink:
        return
    most = context.settings.feed.max_shrink_share
    try:
        guard_against_shrinking(context.staging, most=most, parent_id=context.parent.id)
        guard_against_lost_pictures(context.staging, most=most, folder=str(context.inputs.images))
    except FeedError as error:
        if not context.inputs.plan_only:
            raise
        context.journal.notes.append(f"this run would be refused: {error}")


def encode(context: Context, store: ChunkStore) -> None:
    """Encode all chunks that an earlier, killed run has not finished."""
    staging, journal = context.staging, context.journal
    pending: set[int] = set()
    for chunk in read_chunks(staging, context.salt):
        journal.chunks += 1
        if not store.has(chunk):
            pending.add(chunk.number)
    journal.chunks_resumed = journal.chunks - len(pending)
    store.keep_only(read_chunks(staging, context.salt))
    chunks = (chunk for chunk in read_chunks(staging, context.salt) if chunk.number in pending)
    todo = set_todo(staging, chunks, context.cache, fresh=context.inputs.full)
    total = int(staging.one("SELECT count(*) FROM target WHERE chunk IS NOT NULL"))
    with ExitStack() as stack:
        encoder = ChunkEncoder(
            context.encoders, staging, journal, _picture_blocks(context, todo, stack), context.parent_rows
        )
        finished = 0
        for chunk in read_chunks(staging, context.salt):
            if chunk.number in pending:
                encoded = encoder.encode(chunk)
                failpoint("reindex.chunk-encoded")
                store.save(chunk, encoded)
                failpoint("reindex.chunk-written")
            finished += len(chunk.work)
            context.progress("encode", finished, total)


def _picture_blocks(context: Context, todo: int, stack: ExitStack) -> PictureBlocks | None:
    """Prepare decoding and encoding of pictures; None where no product needs any picture looked at."""
    needs = "SELECT EXISTS (SELECT 1 FROM target JOIN product USING (key) WHERE image AND refs <> '[]')"
    if not context.staging.one(needs):
        return None
    from vision_rec.images import DecodePool

    done = 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        context.progress("pictures encoded", done, max(todo, done))

    images = context.settings.images
    return PictureBlocks(
        encoder=context.encoders.image,
        pool=stack.enter_context(DecodePool(images.workers, images)),
        staging=context.staging,
        cache=context.cache,
        journal=context.journal,
        max_side=context.encoders.image.input_side,
        batch_size=context.settings.encoders.batch_size,
        tell=tell,
    )


def make_files(context: Context, building: Path, store: ChunkStore, kind: str, *, shared: bool) -> None:
    """Write the files of the new version and check them; `shared`: rows, ids and index are the parent's.

    Raises IntegrityError where a check fails.
    """
    build.clear(building)
    if shared and context.parent is not None:
        build.share_files(building, context.parent.path)
    else:
        _make_rows(context, building, store)
        _guard_pictures(context, store)
    if context.behaviour is not None:
        context.behaviour.write_model(building)
    with context.journal.stage("catalogue") as done:
        count = build.write_catalog(
            building / build.CATALOG,
            context.staging,
            context.journal,
            words_renewed=context.stale.text_changed,
        )
        done.append(count)
    if shared:
        told = "rows, ids and index are those of the parent version, which was verified"
        context.journal.checks.append(Check("shared files", count == context.count, told))
    else:
        _index_and_check(context, building, kind, count)
    checks.require(context.journal.checks)
    failpoint("reindex.checked")


def _make_rows(context: Context, building: Path, store: ChunkStore) -> None:
    with context.journal.stage("rows") as done:
        build.write_rows(
            building / build.VECTORS,
            context.staging,
            context.layout,
            behaviour=context.behaviour,
            chunks=read_chunks(context.staging, context.salt),
            store=store,
            parent=context.parent_rows,
            journal=context.journal,
        )
        build.write_ids(building / build.IDS, context.staging)
        done.append(context.count)


def _guard_pictures(context: Context, store: ChunkStore) -> None:
    if context.parent is None or context.inputs.allow_shrink:
        return
    try:
        guard_against_unusable_pictures(context.staging, most=context.settings.feed.max_shrink_share)
    except FeedError:
        store.keep_only(iter(()))  # the next run looks again: the cause may have passed
        raise


def _index_and_check(context: Context, building: Path, kind: str, catalog_rows: int) -> None:
    from vision_rec.index import build_index
    from vision_rec.index.files import load_array

    settings, journal, layout = context.settings, context.journal, context.layout
    with journal.stage("index") as done:
        context.progress("index", 0, context.count)
        stored = load_array(building / build.VECTORS, np.float16, (context.count, layout.dim))
        rows = np.ascontiguousarray(stored, np.float32)
        index = build_index(rows, kind, device=settings.encoders.device)
        done.append(len(rows))
    with journal.stage("checks"):
        goal = settings.index.min_recall
        journal.recall = checks.measure_recall(layout, rows, index, kind, goal=goal)
        found = goal if kind in checks.APPROXIMATE else 1.0
        most = settings.feed.max_reject_share
        journal.checks += [
            checks.check_lengths(building, rows, catalog_rows),
            checks.check_norms(layout, rows),
            checks.check_bad_vectors(journal.bad_vectors, journal.plan.to_encode, most),
            checks.check_self_search(layout, rows, index, found),
            checks.check_recall(journal.recall, kind, goal),
        ]
    with journal.stage("index"):
        folder = building / build.INDEX
        folder.mkdir()
        index.save(folder)
        if not any(folder.iterdir()):
            folder.rmdir()
        context.progress("index", context.count, context.count)
    failpoint("reindex.index-written")
