#!/usr/bin/env python3
"""Shows that winslim's cost grows linearly: makes inputs of 10,000 to 500,000 of each kind, and prints what they take.

    benches/linear.py [--most N]

Each input is small on disk and large in number, as a hostile author would make it. A row has the CPU time and the peak memory of
one run of winslim, and the CPU time for each item relative to the smallest input: about 1 means linear. Fails over 3.
"""

import argparse
import gzip
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

BINARY = pathlib.Path(__file__).resolve().parent.parent / "target" / "release" / "winslim"


def header(name, kind, size=0, link=b"", mode=0o644):
    """A ustar header; names and links have at most 100 bytes."""
    block = bytearray(512)
    block[0:len(name)] = name
    block[100:108] = b"%07o\0" % mode
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"%011o\0" % 1_500_000_000
    block[156:157] = kind
    block[157:157 + len(link)] = link
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def records(**values):
    """A PAX header with records, as one entry of its own."""
    body = b""
    for key, value in values.items():
        rest = b" %s=%s\n" % (key.encode(), value)
        length = len(rest) + 1
        while len(b"%d" % length) + len(rest) != length:
            length = len(b"%d" % length) + len(rest)
        body += b"%d%s" % (length, rest)
    return header(b"PaxHeaders/x", b"x", len(body)) + body + bytes(-len(body) % 512)


def parents():
    return header(b"Files", b"5") + header(b"Files/d", b"5")


def links(number):
    """Names of one file."""
    yield parents() + header(b"Files/d/holder", b"0", 1) + b"x" + bytes(511)
    for at in range(number):
        yield header(b"Files/d/l%d" % at, b"1", link=b"Files/d/holder")


def files(number):
    """Empty files in one directory."""
    yield parents()
    for at in range(number):
        yield header(b"Files/d/f%d" % at, b"0")


def directories(number):
    """Directories, each in the one before it, forty deep."""
    yield parents()
    for at in range(number):
        if at % 40 == 0:
            name = b"Files/d/%x" % (at // 40)
        else:
            name += b"/a"
        yield header(name, b"5")


def descriptors(number):
    """Files, each with a security descriptor of its own."""
    yield parents()
    for at in range(number):
        yield records(**{"MSWINDOWS.rawsd": b"AQAE%08d" % at}) + header(b"Files/d/f%d" % at, b"0")


def put(directory, data):
    digest = hashlib.sha256(data).hexdigest()
    (directory / "blobs" / "sha256" / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def layout(directory, entries):
    """Writes a layout of one layer, and returns the size of its blob."""
    (directory / "blobs" / "sha256").mkdir(parents=True)
    raw = hashlib.sha256()
    path = directory / "layer"
    with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as out:
        for piece in entries:
            raw.update(piece)
            out.write(piece)
        raw.update(bytes(1024))
        out.write(bytes(1024))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    path.rename(directory / "blobs" / "sha256" / digest)
    config = put(directory, json.dumps({
        "os": "windows", "architecture": "amd64", "os.version": "10.0.17763.1",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{raw.hexdigest()}"]},
    }).encode())
    config["mediaType"] = "application/vnd.oci.image.config.v1+json"
    layer = {"digest": f"sha256:{digest}", "size": size, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}
    manifest = put(directory, json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer],
    }).encode())
    manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "t"}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return size


def profile(path, paths):
    """A profile with a rule for each pair of paths."""
    with open(path, "w") as out:
        out.write("schema = 1\nname = \"many\"\nsummary = \"s\"\nrisk = \"low\"\n")
        for number, pair in enumerate(paths):
            out.write(f"[[remove]]\nid = \"r{number}\"\npaths = {pair!r}\nreason = \"r\"\n")


def nodes(path, number):
    node = {"status": {"nodeInfo": {"operatingSystem": "windows", "architecture": "amd64", "osImage": "Windows Server 2019",
                                    "kernelVersion": "10.0.17763.737", "containerRuntimeVersion": "containerd://1.7.20"}}}
    path.write_text(json.dumps({"items": [{"metadata": {"name": f"n{at}"}, **node} for at in range(number)]}))


def measure(work, arguments):
    """Runs winslim; returns its CPU seconds, its peak memory in MB and its exit code."""
    with open(os.devnull, "w") as null:
        process = subprocess.Popen([BINARY, "--cache-dir", work / "cache", *arguments], stdout=null, stderr=null)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, process.returncode


def case(kind, number, work):
    """Makes an input; returns the command for it."""
    image = f"oci:{work / 'image'}:t"
    makers = {"links": links, "files": files, "directories": directories, "descriptors": descriptors}
    if kind in makers:
        layout(work / "image", makers[kind](number))
        profile(work / "p.toml", [["d/**"]])
        return ["plan", image, "-p", work / "p.toml", "-o", os.devnull]
    if kind == "rules":
        layout(work / "image", files(1_000))
        profile(work / "p.toml", ([f"d/f{2 * at}", f"d/f{2 * at + 1}"] for at in range(number)))
        return ["plan", image, "-p", work / "p.toml", "-o", os.devnull]
    nodes(work / "nodes.json", number)
    return ["host", "--nodes", work / "nodes.json", "-o", os.devnull]


# What is refused beyond its limit is not measured there.
MOST = {"links": 500_000, "files": 500_000, "directories": 500_000, "descriptors": 500_000, "rules": 50_000, "nodes": 100_000}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=1_000_000, help="the most items of a kind")
    most = parser.parse_args().most
    failed = False
    print("| input | items | CPU s | peak MB | for each item |\n|---|---|---|---|---|")
    for kind, limit in MOST.items():
        first = None
        for number in (10_000, 50_000, 100_000, 500_000):
            if number > min(limit, most):
                continue
            with tempfile.TemporaryDirectory() as directory:
                work = pathlib.Path(directory)
                command = case(kind, number, work)
                seconds, megabytes, code = measure(work, command)
            each = seconds / number
            first = first or each
            print(f"| {kind} | {number:,} | {seconds:.2f} | {megabytes:.0f} | {each / first:.2f} |", flush=True)
            if code not in (0, 5) or each / first > 3:
                print(f"{kind}: exit code {code}", file=sys.stderr)
                failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
