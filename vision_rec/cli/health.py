"""`health`: what the vectors of the current version say is wrong with its products."""

from __future__ import annotations

from vision_rec.cli.common import AsJson, Common

_SHOWN = 3  # rows of each kind; the JSON report lists more
_NAMES = {
    "near_duplicates": "near-duplicate products",
    "colour_label": "colour name against pixels",
    "text_against_picture": "text against picture",
    "placeholder_pictures": "one picture for many",
    "never_shown": "never shown",
}


def health(common: Common, as_json: AsJson = False) -> None:
    """Look for products that something is off with.

    Near-duplicates, colour names that the pixels contradict, pictures that do not fit the words, pictures
    that many products share, products that no list shows. The console shows the same report.
    """
    from vision_rec.cli.output import remark, write_json, write_line, write_table
    from vision_rec.cli.progress import progress_bar
    from vision_rec.health import HealthDesk

    recommender = common.recommender()
    with progress_bar(common) as progress:
        report = HealthDesk(common.settings().paths.data).check(recommender, progress=progress)
    if as_json:
        write_json(report.to_dict())
        return
    write_line(f"version {report.version_id}: {report.products} products checked ({report.seconds:.1f} s)")
    rows = []
    for finding in report.findings:
        name = _NAMES.get(finding.kind, finding.kind)
        rows.append((name, str(finding.count), "", ""))
        rows += [("", "", row.product_id, row.detail) for row in finding.rows[:_SHOWN]]
    write_table(("check", "found", "product", "what"), rows, right=("found",))
    for finding in report.findings:
        if finding.note:
            remark(common, f"{_NAMES.get(finding.kind, finding.kind)}: {finding.note}")
