"""What is built, installed and run outside the checkout."""

import re
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def needed_by(requirements, seen):
    """Return the distributions that requirements bring along, here."""
    for text in requirements:
        name = re.split(r"[\s<>=!~;\[(]", text, maxsplit=1)[0]
        key = name.lower().replace("_", "-")
        if "extra ==" in text or "sys_platform" in text or "platform_system" in text or key in seen:
            continue
        try:
            seen[key] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of other versions of Python
        needed_by(seen[key].requires or (), seen)
    return seen


def link(distributions, site):
    """Put distributions that are installed here into another environment."""
    for each in distributions:
        for top in {file.parts[0] for file in each.files or () if ".." not in file.parts}:
            if not (site / top).exists():
                (site / top).symlink_to(each.locate_file(top))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the wheel of the checkout."""
    out = tmp_path_factory.mktemp("wheel")
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, ROOT]
    subprocess.run([sys.executable, *map(str, build)], check=True)
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    """Return an environment that holds the wheel and what it needs, without any extra."""
    place = tmp_path_factory.mktemp("fresh") / "env"
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    install = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([sys.executable, *map(str, [*install, wheel])], check=True)
    (site,) = place.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        text = archive.read(name).decode()
    link(needed_by(re.findall(r"^Requires-Dist: (.*)$", text, re.MULTILINE), {}).values(), site)
    return place, site


def run(place, *arguments):
    """Return what the installed command did, outside the checkout."""
    return subprocess.run(
        [str(place / "bin" / "intertwine"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        env={"PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1"},
    )


def test_the_wheel_is_small_and_whole(wheel):
    """The wheel holds the small sample and the templates, and neither tests nor faces."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert wheel.stat().st_size < 6_000_000
    assert "intertwine/features/imagenet-small.npz" in names
    assert "intertwine/__main__.py" in names
    for study in ("closed_set", "linkage", "open_set", "plan", "similarity"):
        assert f"intertwine/studies/{study}/page.html.jinja" in names
    assert not [name for name in names if "faces.npz" in name or name.startswith("tests")]


def test_the_demo_runs_in_a_fresh_environment(fresh, tmp_path):
    """Without a checkout and any extra the demo prints its table; with the extra there is a page."""
    place, site = fresh
    assert run(place, "--version").stdout.startswith("intertwine ")
    done = run(place, "demo", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "googlenet" in done.stdout
    assert f"report: {tmp_path / 'report' / 'report.json'}" in done.stdout
    assert "is not installed; run: pip install 'intertwine[report]'" in done.stderr
    assert "give sample/faces.npz of one with --faces" in done.stderr
    link(needed_by(["jinja2", "matplotlib"], {}).values(), site)
    done = run(place, "demo", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"report: {tmp_path / 'report' / 'report.html'}" in done.stdout
    assert "pip install" not in done.stderr


def test_the_same_sample_of_a_checkout_is_taken_by_name(fresh, tmp_path):
    """A sample that is absent is one line, before anything that is not installed."""
    done = run(fresh[0], "demo", "--sample", "none.npz", "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (1, "")
    assert "give the path of sample/imagenet.npz of a checkout with --sample" in done.stderr
