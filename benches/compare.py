#!/usr/bin/env python3
"""Runs winslim and other programs side by side on one image, and prints a Markdown table.

    cargo build --release --bin winslim --example sample --example floor
    benches/compare.py [--scale mid] [--rounds 3] [--work DIRECTORY]

The image is made by the sample generator. In every round, each program removes the same directories from the same layers;
ratios are to the floor of the same round: inflating the layers, hashing what comes and hashing as much as went in, in one
process and with the same libraries. CPU time is that of a program with all its children. Peak memory is that of the largest
process. Layers are in the page cache. Programs that are not installed are left out. Needs Python 3.11.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What is removed, by the name of the row.
SCENARIOS = {
    "one directory": [r"Windows\Fonts"],
    "a tenth": [r"Windows\assembly"],
    "a third, scattered": [r"Windows\WinSxS\*[0-9a]\**", r"Windows\System32\*[a-h].*", r"Windows\SysWOW64\*[a-h].*"],
    "most": [r"Windows\WinSxS", r"Windows\assembly", r"Windows\SysWOW64", r"Windows\System32\[d-z]*"],
}

# Reads a tar without the names that match, as a script of a few lines would.
TARFILE = """
import fnmatch, sys, tarfile
source, patterns = sys.argv[1], sys.argv[2:]
with tarfile.open(source) as old, tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.PAX_FORMAT) as new:
    for entry in old:
        if not any(fnmatch.fnmatchcase(entry.name, p) or fnmatch.fnmatchcase(entry.name, p + '/*') for p in patterns):
            new.addfile(entry, old.extractfile(entry) if entry.isreg() else None)
"""


# Runs a command and prints CPU seconds and wall seconds of it and its children, and the peak memory of the largest, in KiB.
# On Linux, a process begins with the peak of the one that it was forked from; so it is this small one, and not a grown one.
USAGE = """
import os, sys, time
begun = time.monotonic()
child = os.fork()
if child == 0:
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execvp(sys.argv[1], sys.argv[1:])
    except OSError as error:
        print(error, file=sys.stderr)
    finally:
        os._exit(127)
_, status, usage = os.wait4(child, 0)
print(usage.ru_utime + usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def measured(command, **options):
    """CPU seconds, wall seconds and peak memory in MB of a command and its children."""
    usage = [sys.executable, "-ISc", USAGE, *command]
    result = subprocess.run(usage, stdin=subprocess.DEVNULL, capture_output=True, **options)
    if result.returncode != 0:
        sys.exit(f"{command} failed: {result.stderr.decode(errors='replace')}")
    cpu, wall, peak = result.stdout.split()
    return float(cpu), float(wall), float(peak) * 1024 / 1e6


def layers_of(layout):
    """The layers of the only image of a layout, as files."""
    document = json.loads((layout / "index.json").read_text())
    while "layers" not in document:
        entry = next(entry for entry in document["manifests"] if "artifactType" not in entry)
        document = json.loads(blob(layout, entry["digest"]).read_text())
    return [blob(layout, layer["digest"]) for layer in document["layers"]]


def blob(layout, digest):
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def damage(layers):
    """How many hard links lead to a name that their layers have no entry for, and how many files have no Windows records."""
    names, links, bare = set(), [], 0
    for layer in layers:
        with tarfile.open(layer) as tar:
            for entry in tar:
                names.add(entry.name)
                if entry.islnk():
                    links.append(entry.linkname)
                elif entry.isreg():
                    bare += not any(key.startswith("MSWINDOWS.") for key in entry.pax_headers)
    return sum(link not in names for link in links), bare


def damage_or_nothing(layers):
    """The damage, or nothing if what a program wrote is no tar."""
    try:
        return damage(layers)
    except (tarfile.TarError, EOFError):
        return None


def pipelines(layers, patterns, out):
    """Shell commands of other programs, by name, with what they need and their results."""
    tars = [f"Files/{pattern}".replace("\\", "/") for pattern in patterns]
    tars = [tar.removesuffix("/**") for tar in tars]
    quoted = " ".join(f"'{tar}'" for tar in tars)
    excludes = " ".join(f"--exclude '{tar}'" for tar in tars)
    programs = {
        "bsdtar, gzip -6": ("bsdtar", f"bsdtar -cf - {excludes} @{{layer}} | gzip -6"),
        "bsdtar, pigz -6": ("bsdtar pigz", f"bsdtar -cf - {excludes} @{{layer}} | pigz -6"),
        "gzip, GNU tar --delete, gzip -6": ("tar", f"gzip -dc {{layer}} | tar --delete --wildcards {quoted} | gzip -6"),
        "Python's tarfile, pigz -6": ("pigz", f"'{sys.executable}' -c \"$TARFILE\" {{layer}} {quoted} | pigz -6"),
    }
    for name, (needed, line) in programs.items():
        if all(shutil.which(program) for program in needed.split()):
            results = [out / f"layer{number}" for number in range(len(layers))]
            # GNU tar fails when a layer has none of the names; that is not what is measured.
            lines = [f"{line.format(layer=layer)} > {result}" for layer, result in zip(layers, results)]
            yield name, ["sh", "-c", "\n".join(lines) + "\nexit 0"], results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", default="mid")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=pathlib.Path, help="keep the image here, and take it if it is here already")
    parser.add_argument("--programs", default=ROOT / "target" / "release", type=pathlib.Path)
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="measure this only")
    parser.add_argument("--without-peers", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        base = arguments.work or work / "base"
        if not (base / "index.json").exists():
            subprocess.run([arguments.programs / "examples/sample", base, "--scale", arguments.scale], check=True)
        for name in arguments.only or SCENARIOS:
            scenario(name, SCENARIOS[name], base, work, arguments)


def scenario(name, patterns, base, work, arguments):
    layers = layers_of(base)
    profile = work / "profile.toml"
    profile.write_text(
        'schema = 1\nname = "compare"\nsummary = "For a comparison"\nrisk = "high"\n'
        f'[[remove]]\nid = "all"\nreason = "it is to be compared"\npaths = {json.dumps(patterns)}\n'
    )
    cache, slim, out = work / "cache", work / "slim", work / "out"
    out.mkdir(exist_ok=True)
    build = [arguments.programs / "winslim", "-q", "--cache-dir", cache, "build", f"oci:{base}:ltsc2019"]
    build += ["-p", profile, "-t", f"oci:{slim}:slim"]
    jobs = [
        ("winslim, first build", build, None),
        ("winslim, index in the cache", build, None),
        ("winslim --verify full", [*build, "--verify", "full"], None),
        ("winslim --recompress", [*build, "--recompress"], None),
    ]
    if not arguments.without_peers:
        environment = os.environ | {"TARFILE": TARFILE}
        jobs += [(name, command, results) for name, command, results in pipelines(layers, patterns, out)]
    else:
        environment = None

    damaged_before = damage(layers)
    measures = {name: [] for name, _, _ in jobs}
    notes, floors = {}, []
    for _ in range(arguments.rounds):
        shutil.rmtree(cache, ignore_errors=True)
        floor = measured([arguments.programs / "examples/floor", *layers])
        floors.append(floor)
        for job, command, results in jobs:
            shutil.rmtree(slim, ignore_errors=True)
            # Each job is to rewrite, and not to find what the one before has rewritten.
            shutil.rmtree(cache / "rewritten", ignore_errors=True)
            cpu, wall, peak = measured(command, env=environment)
            measures[job].append((cpu / floor[0], wall / floor[1], peak))
            if job not in notes:
                made = results or layers_of(slim)
                notes[job] = (sum(layer.stat().st_size for layer in made), damage_or_nothing(made))

    size_before = sum(layer.stat().st_size for layer in layers)
    cpu, wall, peak = [statistics.median(column) for column in zip(*floors)]
    print(f"\n### {name}: {', '.join(patterns)}\n")
    took = f"{cpu:.2f} s of CPU, {wall:.2f} s wall, {peak:.0f} MB of memory"
    print(f"{size_before / 1e6:.1f} MB compressed; the floor is {took}\n")
    print("| program | CPU, times the floor | wall, times the floor | peak MB | output MB | broken links | bare files |")
    print("|---|---|---|---|---|---|---|")
    for job, _, _ in jobs:
        cpu, wall, peak = (statistics.median(column) for column in zip(*measures[job]))
        size, damaged = notes[job]
        # What the image has itself is no program's fault.
        pairs = zip(damaged, damaged_before) if damaged else []
        broken, bare = [max(0, after - before) for after, before in pairs] or ("not a tar", "not a tar")
        print(f"| {job} | {cpu:.2f} | {wall:.2f} | {peak:.0f} | {size / 1e6:.2f} | {broken} | {bare} |", flush=True)


if __name__ == "__main__":
    main()
