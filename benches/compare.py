#!/usr/bin/env python3
"""Runs winslim and other programs side by side on one image, and prints a Markdown table.

    cargo build --release --bin winslim --example sample --example floor
    benches/compare.py [--scale mid] [--mixed] [--rounds 3] [--work DIRECTORY]

The image is made by the sample generator, its entries in the order of an exporter that walks the tree. With --mixed, files of
all directories stand among each other, so that what is removed is cut out in very many places.

In every round, each program removes the same directories from the same layers; ratios are to the floor of the same round:
inflating the layers, hashing what comes and hashing as much as went in, in one process and with the same libraries. CPU time
is that of a program with all its children. Peak memory is that of the largest process. Layers are in the page cache. Needs
Python 3.11.

Measured are, as far as they are installed:

- bsdtar, GNU tar and Python's tarfile with gzip or pigz, which filter each layer.
- regctl, which rewrites layers in a layout. It knows no patterns, so it has no row where there are some.
- umoci and buildah, which unpack the image and store a further layer that says what was removed. They need root, and they
  fail on an image whose hard links lead to files of a lower layer in other letter case. So they are run also on a copy of
  the image that spells such links as the lower layer does and says that it is for Linux ("Linux copy").
- crane, which makes one layer of all, and skopeo, which copies. They can remove nothing, and show what moving an image takes.
  crane works on a registry, which is a process of its own on this machine and not measured.

A program that fails has a row with its last words. Debian has all but regctl and crane: buildah, libarchive-tools, pigz,
skopeo, umoci.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

from images import damage, layers_of, linux_copy
from peers import Job, peers

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What is removed, by the name of the row.
SCENARIOS = {
    "one directory": [r"Windows\Fonts"],
    "a tenth": [r"Windows\assembly"],
    # The 32-bit half, native images and drivers.
    "a third": [
        *(rf"Windows\{name}" for name in ["SysWOW64", "assembly", "servicing", r"System32\DriverStore"]),
        *(rf"Windows\WinSxS\{name}_*" for name in ["x86", "wow64"]),
    ],
    "most": [
        *(rf"Windows\{name}" for name in ["WinSxS", "SysWOW64", "assembly", "servicing", r"System32\[d-z]*"]),
        r"UtilityVM:\Windows\System32\[d-z]*",
    ],
    # The worst case: thousands of names whose data is still needed and moves to other names.
    "scattered names": [r"Windows\WinSxS\*[0-9a]\**", r"Windows\System32\*[a-h].*", r"Windows\SysWOW64\*[a-h].*"],
}

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


def measured(command):
    """CPU seconds, wall seconds and peak memory in MB of a command and its children."""
    usage = [sys.executable, "-ISc", USAGE, *command]
    result = subprocess.run(usage, stdin=subprocess.DEVNULL, capture_output=True)
    if result.returncode != 0:
        raise subprocess.CalledProcessError(result.returncode, command, stderr=result.stderr)
    cpu, wall, peak = result.stdout.split()
    return float(cpu), float(wall), float(peak) * 1024 / 1e6


def make_empty(directory):
    """Makes a directory, anew if there is one; programs that unpack may leave directories in it that nobody may write to."""
    if directory.exists():
        subprocess.run(["chmod", "-R", "u+rwx", directory], check=True)
        shutil.rmtree(directory)
    directory.mkdir()


def last_words(error):
    """Why a program failed, as far as the end of what it said tells it."""
    parts = error.stderr.decode(errors="replace").strip().rpartition("\n")[2].split(": ")
    reason = parts.pop()
    while parts and len(parts[-1]) + len(reason) < 60:
        reason = f"{parts.pop().strip()}: {reason}"
    return f"fails: {reason[-100:]}".replace("|", "/")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="mid", help="the size of the image, for the sample generator")
    parser.add_argument("--mixed", action="store_true", help="mix the entries of all directories of the image")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=pathlib.Path, help="keep the image here, and take it if it is here already")
    parser.add_argument("--programs", default=ROOT / "target" / "release", type=pathlib.Path, help="where winslim is built")
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="measure this only")
    parser.add_argument("--without-peers", action="store_true", help="measure winslim only")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        base = arguments.work or work / "base"
        if not (base / "index.json").exists():
            order = [] if arguments.mixed else ["--walked"]
            subprocess.run([arguments.programs / "examples/sample", base, "--scale", arguments.scale, *order], check=True)
        if not arguments.without_peers and (shutil.which("umoci") or shutil.which("buildah")):
            linux_copy(base, work / "linux")
        for name in arguments.only or SCENARIOS:
            scenario(name, SCENARIOS[name], base.resolve(), work, arguments)


def scenario(name, patterns, base, work, arguments):
    profile = work / "profile.toml"
    profile.write_text(
        'schema = 1\nname = "compare"\nsummary = "For a comparison"\nrisk = "high"\n'
        f'[[remove]]\nid = "all"\nreason = "it is to be compared"\npaths = {json.dumps(patterns)}\n'
    )
    cache, out = work / "cache", work / "out"
    build = [arguments.programs / "winslim", "-q", "--cache-dir", cache, "build", f"oci:{base}:ltsc2019"]
    build += ["-p", profile, "-t", f"oci:{out / 'slim'}:slim"]
    commands = {
        "winslim, first build": build,
        "winslim, index in the cache": build,
        "winslim --verify full": [*build, "--verify", "full"],
        "winslim --recompress": [*build, "--recompress"],
    }
    own = [Job(job, command, lambda: layers_of(out / "slim"), base) for job, command in commands.items()]
    jobs = own if arguments.without_peers else [*own, *peers(base, work / "linux", patterns, out)]

    layers = layers_of(base)
    damaged_before = {image: damage(layers_of(image)) for image in {job.base for job in jobs}}
    measures = {job: [] for job in jobs}
    notes, failures, floors = {}, {}, []
    for _ in range(arguments.rounds):
        shutil.rmtree(cache, ignore_errors=True)
        floor = measured([arguments.programs / "examples/floor", *layers])
        floors.append(floor)
        for job in jobs:
            if job in failures:
                continue
            make_empty(out)
            # Each job is to rewrite, and not to find what the one before has rewritten.
            shutil.rmtree(cache / "rewritten", ignore_errors=True)
            try:
                with job.around():
                    cpu, wall, peak = measured(job.command)
                    if job not in notes:
                        made = job.results()
                        notes[job] = (sum(layer.stat().st_size for layer in made), damage(made))
            except subprocess.CalledProcessError as error:
                if job in own:
                    raise
                failures[job] = last_words(error)
            else:
                measures[job].append((cpu / floor[0], wall / floor[1], peak))

    size_before = sum(layer.stat().st_size for layer in layers)
    cpu, wall, peak = [statistics.median(column) for column in zip(*floors)]
    print(f"\n### {name}: {', '.join(patterns)}\n")
    took = f"{cpu:.2f} s of CPU, {wall:.2f} s wall, {peak:.0f} MB of memory"
    print(f"{size_before / 1e6:.1f} MB compressed; the floor is {took}\n")
    print("| program | CPU, times the floor | wall, times the floor | peak MB | output MB | broken links | bare files |")
    print("|---|---|---|---|---|---|---|")
    for job in jobs:
        if job in failures:
            print(f"| {job.name} | {failures[job]} | | | | | |", flush=True)
            continue
        cpu, wall, peak = (statistics.median(column) for column in zip(*measures[job]))
        size, damaged = notes[job]
        # What the image has itself is no program's fault.
        pairs = zip(damaged, damaged_before[job.base]) if damaged else []
        broken, bare = [max(0, after - before) for after, before in pairs] or ("not a tar", "not a tar")
        print(f"| {job.name} | {cpu:.2f} | {wall:.2f} | {peak:.0f} | {size / 1e6:.2f} | {broken} | {bare} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as failure:
        words = (failure.stderr or b"").decode(errors="replace")
        sys.exit(f"{' '.join(map(str, failure.cmd))} failed: {words}")
