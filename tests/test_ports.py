"""The preparation in Java and JavaScript that the guide shows is the encoder's own, pixel by pixel."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vision_rec.encoders.prepare import fit_square, scaled_size

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "guides" / "java.md"
SIDE = 112
SIZES = [(150, 97), (61, 160), (90, 67), (40, 52), (7, 160), (112, 48), (333, 500), (1, 1), (113, 112)]
JAVA = """
import java.nio.file.*;
public final class Port {
%s
    public static void main(String[] args) throws Exception {
        for (String size : args) {
            String[] sides = size.split("x");
            byte[] pixels = Files.readAllBytes(Path.of(size + ".rgb"));
            Fitted fitted = fit(pixels, Integer.parseInt(sides[0]), Integer.parseInt(sides[1]), %d);
            Files.write(Path.of(size + ".fit"), fitted.square());
            System.out.println(fitted.height() + "x" + fitted.width());
        }
    }
}
"""
NODE = """
import fs from 'node:fs';
%s
for (const size of process.argv.slice(2)) {
  const [height, width] = size.split('x').map(Number);
  const fitted = fit(fs.readFileSync(size + '.rgb'), height, width, %d);
  fs.writeFileSync(size + '.fit', fitted.square);
  console.log(fitted.height + 'x' + fitted.width);
}
"""


def block(language: str) -> str:
    """The first block of code of a language in the guide."""
    return re.search(rf"```{language}\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)[1]


def java() -> tuple[str, str, list[str]]:
    after = block("java").partition("/** A picture in its square")[2]
    record = "/** A picture in its square" + after.partition("/** Returns the picture's sRGB bytes")[0]
    fit = after[after.index("/** Scales a picture so") : after.index("// ── use ──")]
    return "Port.java", JAVA % (record + fit, SIDE), ["java", "Port.java"]


def node() -> tuple[str, str, list[str]]:
    code = block("js")
    return "port.mjs", NODE % (code[code.index("export function fit") :], SIDE), ["node", "port.mjs"]


@pytest.mark.parametrize("port", [java, node], ids=["java", "node"])
def test_the_guides_fit_is_the_encoders(port, tmp_path):
    name, source, command = port()
    if shutil.which(command[0]) is None or (name.endswith(".java") and shutil.which("javac") is None):
        pytest.skip(f"{command[0]} is not there")
    (tmp_path / name).write_text(source, encoding="utf-8")
    rng = np.random.default_rng(6)
    pictures = {size: rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES}
    names = {size: f"{size[0]}x{size[1]}" for size in SIZES}
    for size, picture in pictures.items():
        (tmp_path / f"{names[size]}.rgb").write_bytes(picture.tobytes())
    ran = subprocess.run(
        [*command, *names.values()], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    told = [tuple(map(int, line.split("x"))) for line in ran.stdout.split()]
    assert told == [scaled_size(picture, SIDE) for picture in pictures.values()]
    for size, picture in pictures.items():
        found = np.frombuffer((tmp_path / f"{names[size]}.fit").read_bytes(), np.uint8)
        difference = found.reshape(SIDE, SIDE, 3).astype(int) - fit_square(picture, SIDE)
        assert np.abs(difference).max() <= 1, size
        assert (difference == 0).mean() > 0.999, size
