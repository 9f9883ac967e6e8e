"""Build the bundle for a Victron GX: the gateway and every library it needs, in one archive that needs no network.

    ./dev bundle-venus                         dist/bms-gateway-VERSION-venus.tar.gz
    ./dev bundle-venus --python 3.13 --machine x86_64       for a test on another machine

Compiled libraries (pydantic-core, bitstruct, wrapt, ...) are taken as wheels for each machine; what is the same on all
of them lies there once.  Sheet: venus-dbus.md section 9.
"""

import argparse
import filecmp
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
OURS: Final = ("gateway", "bms_drivers", "outputs", "dbc", "pyproject.toml", "README.md")
EXTRAS: Final = "appliance"
MACHINES: Final = ("armv7l", "aarch64")  # Cerbo GX, Venus GX; Ekrano GX, Raspberry Pi with a 64 bit image
GLIBC: Final = range(39, 16, -1)  # 2.x; scarthgap has 2.39
SCRIPTS: Final = ("boot", "enable", "disable", "uninstall", "service")
NAME: Final = "bms-gateway-venus"
PURE: Final = {"dbus-fast": "SKIP_CYTHON"}  # no wheel for armv7l: built without its compiled parts, by this variable


def main(words: Sequence[str]) -> None:
    """The command."""
    given = _arguments(words)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        wheel = _wheel(work)
        for library, variable in PURE.items():
            _pure(library, variable, work)
        trees = {machine: _libraries(wheel, work / machine, machine, given) for machine in given.machine}
        bundle = work / NAME
        _lay(bundle, trees)
        (bundle / "VERSION").write_text(f"{version}\n")
        (bundle / "PYTHON").write_text(f"{given.python}\n")
        given.output.mkdir(parents=True, exist_ok=True)
        archive = given.output / f"bms-gateway-{version}-venus.tar.gz"
        _pack(bundle, archive)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.with_name(f"{archive.name}.sha256").write_text(f"{digest}  {archive.name}\n")
    size = archive.stat().st_size / 1e6
    print(f"{archive}: {size:.1f} MB, Python {given.python}, {', '.join(given.machine)}")
    print(f"on the GX: tar xzf {archive.name} -C /data && sh /data/{NAME}/install")


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bundle-venus", description=__doc__.partition("\n")[0])
    parser.add_argument("--python", default="3.12", help="the GX's Python (default 3.12: Venus OS 3.60 and newer)")
    parser.add_argument("--machine", action="append", help=f"may be repeated; default {' and '.join(MACHINES)}")
    parser.add_argument(
        "--extras", default=EXTRAS, help=f"optional libraries, by their extras' names (default {EXTRAS})"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="the folder (default dist)")
    given = parser.parse_args(words)
    given.machine = given.machine or list(MACHINES)
    return given


def _wheel(work: Path) -> Path:
    """The gateway itself, built from a copy, so that nothing is left in the checkout."""
    source = work / "source"
    source.mkdir()
    for name in OURS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    _pip("wheel", "--no-deps", "-w", str(work), str(source))
    return next(work.glob("bms_gateway-*.whl"))


def _pure(library: str, variable: str, work: Path) -> None:
    """A wheel of `library` for every machine; where there is a compiled one of the same version, that is taken."""
    os.environ[variable] = "1"
    _pip("wheel", "--no-deps", "--no-cache-dir", "--no-binary", library, "-w", str(work), library)
    built = next(work.glob(f"{library.replace('-', '_')}-*.whl"))
    name, version = built.name.split("-")[:2]
    built.rename(work / f"{name}-{version}-py3-none-any.whl")


def _libraries(wheel: Path, target: Path, machine: str, given: argparse.Namespace) -> Path:
    """A folder with the gateway and all it imports, for one machine.  Ends where a wheel is missing."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    _pip(
        "install", "--no-compile", "--only-binary=:all:", "--implementation", "cp", "--python-version", given.python,
        *(word for platform in platforms for word in ("--platform", platform)),
        "--find-links", str(wheel.parent), "--target", str(target), f"{wheel}[{given.extras}]",
    )  # fmt: skip
    shutil.rmtree(target / "bin", ignore_errors=True)
    return target


def _pip(command: str, *words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", command, "-q", "--disable-pip-version-check", *words])
    if done.returncode:
        sys.exit(f"bundle-venus: pip {command} failed")


def _lay(bundle: Path, trees: dict[str, Path]) -> None:
    """The bundle's folder, from one tree of libraries for each machine."""
    release, here = bundle / "release", ROOT / "packaging"
    for machine, tree in trees.items():
        for entry in sorted(tree.iterdir()):
            shared = not _compiled(entry) and all(_same(entry, other / entry.name) for other in trees.values())
            target = release / ("lib" if shared else f"lib-{machine}") / entry.name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy(entry, target)
    share = release / "share"
    share.mkdir()
    for name in SCRIPTS:
        _copy(here / "venus" / name, share / name)
    _copy(here / "releases.sh", share / "releases.sh")
    _copy(ROOT / "docs", share / "docs")
    (release / "bin").mkdir()
    _copy(here / "venus" / "bms-gateway", release / "bin" / "bms-gateway")
    _copy(here / "venus" / "start.py", release / "start.py")
    _copy(here / "venus" / "install", bundle / "install")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _files(entry: Path) -> Iterator[Path]:
    return (path for path in (entry, *entry.rglob("*")) if path.is_file())


def _compiled(entry: Path) -> bool:
    return any(".so" in path.suffixes for path in _files(entry))


def _same(one: Path, other: Path) -> bool:
    """Do both hold the same?"""
    mine, theirs = ({path.relative_to(root) for path in _files(root)} for root in (one, other))
    return mine == theirs and all(filecmp.cmp(one / name, other / name, shallow=False) for name in mine)


def _pack(bundle: Path, archive: Path) -> None:
    """The archive, owned by root, in the order of the names."""
    with tarfile.open(archive, "w:gz", compresslevel=9) as tar:
        for path in sorted(bundle.rglob("*")):
            if "__pycache__" in path.parts:
                continue
            entry = tar.gettarinfo(path, str(Path(NAME) / path.relative_to(bundle)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            content = io.BytesIO(path.read_bytes()) if entry.isfile() else None
            tar.addfile(entry, content)


if __name__ == "__main__":
    main(sys.argv[1:])
