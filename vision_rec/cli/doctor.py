"""`doctor`: what is well and what is not, each with a fix."""

from __future__ import annotations

from dataclasses import asdict

from vision_rec.cli.common import AsJson, Common


def doctor(common: Common, as_json: AsJson = False) -> int:
    """Check everything, with a fix for each fault.

    Python, libraries, models, versions, disk, memory, port and settings; exit code 0, 5 or 8.
    """
    from vision_rec.cli.output import write_json, write_table
    from vision_rec.diagnose import diagnose, exit_code

    findings = diagnose(common.settings(), config=common.config)
    code = exit_code(findings)
    if as_json:
        write_json({"ok": code == 0, "checks": [asdict(finding) for finding in findings]})
    else:
        rows = [(found.status, found.name, found.detail, found.fix) for found in findings]
        write_table(("", "check", "found", "fix"), rows)
    return code
