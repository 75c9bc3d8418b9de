#!/usr/bin/env python3
"""Counts the files and bytes of an image, knowing nothing of winslim, and compares with its reports.

    count.py LAYOUT REPORT...

LAYOUT is an OCI layout with one image of gzip layers, each REPORT a file with the JSON of
`winslim inspect --top 0 --format json` on that image, whatever its `--by`. Prints every difference; exits with 1 if
there is one. Needs Python 3.11 and nothing else.
"""

import collections
import gzip
import io
import json
import pathlib
import sys
import tarfile

from check import fold


class Sizes:
    """What a part of an image takes, apart from its compressed size."""

    def __init__(self):
        self.files = self.unpacked = self.dead = 0

    def add(self, entry):
        self.files += entry.is_file
        self.unpacked += entry.data
        self.dead += entry.data if entry.dead_by is not None else 0


class Entry:
    """One member of a tar."""

    def __init__(self, layer, member, owner):
        self.layer, self.name, self.link = layer, member.name, member.linkname
        self.last = self.name.rstrip("/").rsplit("/", 1)[-1]
        self.folded = fold(self.name)
        self.deletes = None
        if self.last.startswith(".wh."):
            self.deletes = self.folded[: -len(self.last)] + fold(self.last[len(".wh.") :])
        self.is_stream = ":" in self.last and member.isreg()
        self.owner = owner if self.is_stream else self
        self.is_directory = member.isdir()
        self.is_link = member.islnk()
        self.is_name = self.deletes is None and not self.is_stream
        self.is_file = self.is_name and not self.is_directory
        self.data = member.size if member.isreg() and self.deletes is None else 0
        self.holder = self
        self.hidden_by = self.dead_by = None


class Image:
    """The entries of an image's layers, with what is hidden in them."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        document = json.loads((self.directory / "index.json").read_text())
        while "manifests" in document:
            document = json.loads(self.blob(document["manifests"][0]["digest"]))
        self.blob_sizes = [layer["size"] for layer in document["layers"]]
        self.layers = [self.entries(number, layer["digest"]) for number, layer in enumerate(document["layers"])]
        self.resolve_links()
        self.hide()
        self.bury()

    def blob(self, digest):
        return (self.directory / "blobs" / digest.replace(":", "/")).read_bytes()

    def entries(self, number, digest):
        entries, owner = [], None
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(self.blob(digest)))) as tar:
            for member in tar:
                entry = Entry(number, member, owner)
                owner = owner if entry.is_stream else entry
                entries.append(entry)
        return entries

    def resolve_links(self):
        """Finds the file that each hard link is a name of, where a Windows host looks for it."""
        below = []
        for number, layer in enumerate(self.layers):
            spelled, folded = {}, {}
            for entry in layer:
                if entry.is_link:
                    places = [folded if number == 0 else spelled, *below]
                    keys = [fold(entry.link) if number == 0 else entry.link, *[fold(entry.link)] * len(below)]
                    found = [place[key] for place, key in zip(places, keys) if key in place]
                    entry.holder = found[0].holder
                if entry.is_name:
                    spelled[entry.name.rstrip("/")] = folded[entry.folded] = entry
            below.insert(0, folded)

    def hide(self):
        """Finds the lowest layer that has each name again, or deletes it, or a directory above it."""
        hiding = collections.defaultdict(list)
        for layer in self.layers:
            for entry in layer:
                if entry.deletes:
                    hiding[entry.deletes].append(entry.layer)
                elif entry.is_file:
                    hiding[entry.folded].append(entry.layer)
        for entry in (entry for layer in self.layers for entry in layer if entry.is_name):
            if not entry.folded.startswith(("FILES/", "UTILITYVM/")):
                continue
            parts = entry.folded.split("/")
            paths = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
            layers = [layer for path in paths for layer in hiding[path] if layer > entry.layer]
            entry.hidden_by = min(layers, default=None)

    def bury(self):
        """Finds what is dead: the data of a file only when all its names are hidden."""
        names = collections.defaultdict(list)
        for layer in self.layers:
            for entry in layer:
                names[id(entry.holder)].append(entry.hidden_by)
        for layer in self.layers:
            for entry in layer:
                hidden = names[id(entry.owner.holder)] if entry.owner.holder is entry.owner else [entry.hidden_by]
                entry.dead_by = None if None in hidden else max(hidden)

    def rows(self, by, depth, only):
        rows = collections.defaultdict(Sizes)
        for layer in self.layers:
            for entry in layer:
                if only is None or only == entry.layer:
                    rows[key(entry, by, depth)].add(entry)
        return rows


def key(entry, by, depth):
    """The name of the row that an entry is in, in upper case."""
    owner = entry.owner
    if by == "layer":
        return str(entry.layer)
    if by == "file":
        return on_windows(owner.folded)
    if by == "extension":
        if owner.is_directory:
            return "(DIRECTORIES)"
        if owner.deletes:
            return "(WHITEOUTS)"
        extension = owner.folded.rsplit("/", 1)[-1].rpartition(".")
        return f".{extension[2]}" if extension[1] and extension[2] else "(NONE)"
    directory = owner.folded if owner.is_directory else owner.folded.rpartition("/")[0]
    root = {"FILES": 1, "UTILITYVM": 2}.get(directory.split("/")[0], 0)
    return on_windows("/".join(directory.split("/")[: root + depth]))


def upper(name):
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in name)


def on_windows(folded):
    if folded == "FILES":
        return "\\"
    if folded in ("UTILITYVM", "UTILITYVM/FILES"):
        return "UTILITYVM:\\"
    path = folded.removeprefix("FILES/").replace("/", "\\")
    return path.replace("UTILITYVM\\FILES\\", "UTILITYVM:\\", 1) if path.startswith("UTILITYVM\\FILES\\") else path


def compare(image, report):
    """Every difference between the image and a report on it."""
    by = report["by"]
    where = f"by {by} {report.get('depth', '')}"

    def sizes(have, count, what):
        for field in ("files", "unpacked", "dead"):
            if have[field] != getattr(count, field):
                yield f"{where}: {what}: {field} is {have[field]} and should be {getattr(count, field)}"

    everything = Sizes()
    for layer in image.layers:
        for entry in layer:
            everything.add(entry)
    yield from sizes(report["totals"], everything, "the totals")
    if report["totals"]["compressed"] != sum(image.blob_sizes):
        yield f"{where}: the totals are not the size of the blobs"
    layers = image.rows("layer", None, None)
    for number, row in enumerate(report["layers"]):
        yield from sizes(row, layers[str(number)], f"layer {number}")
        if row["compressed"] != image.blob_sizes[number]:
            yield f"{where}: layer {number} is not as large as its blob"

    for row in report["dead"]:
        dead = sum(entry.data for entry in image.layers[row["layer"]] if entry.dead_by == row["by"])
        if row["unpacked"] != dead:
            yield f"{where}: layer {row['by']} hides {dead} bytes of layer {row['layer']}, not {row['unpacked']}"
    if sum(row["unpacked"] for row in report["dead"]) != everything.dead:
        yield f"{where}: the list of what is dead lacks something"

    only = report.get("layer")
    for field in ("files", "unpacked", "compressed", "dead", "deadCompressed"):
        whole = report["totals"] if only is None else report["layers"][only]
        if sum(row[field] for row in report["rows"]) != whole[field]:
            yield f"{where}: {field} of the rows does not add up"
    if by == "component":
        return
    counted = image.rows(by, report.get("depth"), only)
    # A whiteout stands for itself in each layer, and the UtilityVM is called as the directory in it.
    shown = collections.defaultdict(collections.Counter)
    for row in report["rows"]:
        if row["name"] != "(archive overhead)":
            shown[upper(row["name"])].update({field: row[field] for field in ("files", "unpacked", "dead")})
    for name, row in shown.items():
        if name not in counted:
            yield f"{where}: there is no {name}"
        else:
            yield from sizes(row, counted[name], name)
    for name in counted.keys() - shown.keys():
        yield f"{where}: {name} is missing"


def main():
    image = Image(sys.argv[1])
    reports = [json.loads(pathlib.Path(report).read_text()) for report in sys.argv[2:]]
    problems = [problem for report in reports for problem in compare(image, report)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
