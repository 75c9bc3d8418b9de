#!/usr/bin/env python3
"""Compares a slimmed image with its source, knowing nothing of winslim.

    check.py SOURCE RESULT --removed PATTERN... [--keep PATTERN...]

SOURCE and RESULT are OCI layouts. The result must be the source without the names that the patterns (Windows paths,
`UtilityVM:\\` in front for the utility VM) match, and without anything below them; every other name must have the bytes
and the metadata that it had, every untouched entry the very same blocks, and a Windows host must be able to import it.
Prints every problem; exits with 1 if there is one. Needs Python 3.11 and nothing else.
"""

import argparse
import gzip
import hashlib
import io
import json
import pathlib
import re
import sys
import tarfile

BLOCK = 512
PLAIN_LAYERS = {
    "application/vnd.oci.image.layer.v1.tar": False,
    "application/vnd.oci.image.layer.v1.tar+gzip": True,
    "application/vnd.docker.image.rootfs.diff.tar": False,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": True,
}
INDEXES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}


class Problems(list):
    """What is wrong, in people's words."""

    def add(self, text):
        self.append(text)


def fold(name):
    """A name as Windows compares it: one character for one character, none of them outside the first plane."""
    upper = (c.upper() if len(c.upper()) == 1 else c for c in name.replace("\\", "/").strip("/"))
    return "".join(upper)


class Entry:
    """One entry of a tar: its records, its blocks, and the hash of its data."""

    def __init__(self, name, typeflag, link, mode, pax, blocks, data):
        self.name, self.typeflag, self.link, self.mode, self.pax = name, typeflag, link, mode, pax
        self.blocks, self.data_hash, self.size = blocks, hashlib.sha256(data).hexdigest(), len(data)
        self.folded = fold(name)
        self.base_name = name.rstrip("/").rsplit("/", 1)[-1]

    @property
    def whiteout(self):
        """The folded name that the entry deletes."""
        if not self.base_name.startswith(".wh."):
            return None
        directory = self.name[: -len(self.base_name)]
        return fold(directory + self.base_name[4:])

    @property
    def owner(self):
        """The folded name of the file that the entry is an alternate data stream of."""
        return self.folded.rsplit(":", 1)[0] if ":" in self.base_name else None

    @property
    def is_name(self):
        return self.whiteout is None and self.owner is None

    def windows_records(self):
        return {key: value for key, value in self.pax.items() if key.startswith("MSWINDOWS.")}

    def times(self):
        return {key: self.pax.get(key) for key in ("LIBARCHIVE.creationtime", "atime", "ctime", "mtime")}


def text_field(block, start, length):
    return block[start : start + length].split(b"\0", 1)[0].decode()


def pax_records(body):
    records = {}
    while body:
        length, _, _ = body.partition(b" ")
        record = body[: int(length)]
        key, _, value = record[len(length) + 1 : -1].decode().partition("=")
        if not record.endswith(b"\n") or key in records:
            raise ValueError(f"bad PAX record {record!r}")
        records[key] = value
        body = body[int(length) :]
    return records


def read_tar(raw, where, problems, twice=True):
    """The entries of a tar, read block by block; `twice` compares with what a reader of another make sees."""
    entries, position, pax, start = [], 0, {}, 0
    while raw[position : position + BLOCK].strip(b"\0"):
        block = raw[position : position + BLOCK]
        checksum = sum(block[:148]) + 8 * 32 + sum(block[156:])
        if int(block[148:156].strip(b" \0"), 8) != checksum:
            raise ValueError(f"{where}: wrong header checksum at {position}")
        typeflag = block[156:157].decode()
        size = int(pax.get("size") or block[124:136].strip(b" \0") or b"0", 10 if "size" in pax else 8)
        data = raw[position + BLOCK : position + BLOCK + size]
        position += BLOCK + -(-size // BLOCK) * BLOCK
        if len(data) != size or position > len(raw):
            raise ValueError(f"{where}: the tar ends within an entry")
        if typeflag == "x":
            pax = pax_records(data)
            continue
        name = pax.get("path") or text_field(block, 0, 100)
        if not pax.get("path") and block[257:263] == b"ustar\0" and block[345]:
            name = text_field(block, 345, 155) + "/" + name
        link = pax.get("linkpath") or text_field(block, 157, 100)
        mode = int(block[100:108].strip(b" \0") or b"0", 8)
        if typeflag not in "0125":
            problems.add(f"{where}: `{name}` has the typeflag {typeflag!r}")
        entries.append(Entry(name, typeflag, link, mode, pax, raw[start:position], data))
        pax, start = {}, position
    if raw[position:].strip(b"\0") or len(raw) - position < 2 * BLOCK:
        problems.add(f"{where}: the end of the tar is damaged")
    if twice:
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            names = [member.name for member in archive]
        if names != [entry.name.rstrip("/") for entry in entries]:
            problems.add(f"{where}: Python's tarfile reads other names in it")
    return entries


class Layer:
    def __init__(self, number, descriptor, layout, problems, result):
        where = f"layer {number}"
        stored = layout.blob(descriptor, where)
        media_type = descriptor["mediaType"]
        zipped = stored[:2] == b"\x1f\x8b"
        if result:
            if media_type not in PLAIN_LAYERS:
                problems.add(f"{where} has the media type {media_type}, which is not a plain layer")
            elif PLAIN_LAYERS[media_type] != zipped:
                problems.add(f"{where} has the media type {media_type}, and other contents")
            if "urls" in descriptor:
                problems.add(f"{where} still has URLs")
        raw = gzip.decompress(stored) if zipped else stored
        self.number, self.digest, self.size = number, descriptor["digest"], descriptor["size"]
        self.diff_id = "sha256:" + hashlib.sha256(raw).hexdigest()
        self.entries = read_tar(raw, where, problems, twice=result)
        self.names = {}
        for entry in self.entries:
            if entry.folded in self.names and result:
                problems.add(f"{where} has `{entry.name}` twice")
            self.names.setdefault(entry.folded, entry)


class Layout:
    """An image in an OCI layout, every digest and size checked."""

    def __init__(self, directory, tag, os_version, problems, result=False):
        self.directory, self.problems = pathlib.Path(directory), problems
        index = json.loads((self.directory / "index.json").read_bytes())
        entries = index["manifests"]
        if tag:
            ref = "org.opencontainers.image.ref.name"
            entries = [entry for entry in entries if entry.get("annotations", {}).get(ref) == tag]
        entries = [entry for entry in entries if not entry.get("artifactType")]
        self.platform = None
        while entries and entries[0]["mediaType"] in INDEXES:
            entries = json.loads(self.blob(entries[0], "index"))["manifests"]
            entries = [entry for entry in entries if entry.get("platform", {}).get("os") == "windows"] or entries
        if os_version:
            entries = [entry for entry in entries if entry["platform"].get("os.version") == os_version]
        if not entries:
            raise ValueError(f"{directory} has no such image")
        self.descriptor = entries[0]
        self.platform = self.descriptor.get("platform")
        self.manifest = json.loads(self.blob(self.descriptor, "manifest"))
        if self.manifest.get("mediaType", self.descriptor["mediaType"]) != self.descriptor["mediaType"]:
            problems.add("the manifest's media type is not the one that its descriptor gives")
        self.config = lower_keys(json.loads(self.blob(self.manifest["config"], "config")))
        self.layers = [
            Layer(number, descriptor, self, problems, result)
            for number, descriptor in enumerate(self.manifest["layers"])
        ]

    def blob(self, descriptor, what):
        stored = (self.directory / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
        digest = "sha256:" + hashlib.sha256(stored).hexdigest()
        if digest != descriptor["digest"]:
            self.problems.add(f"the {what} is named {descriptor['digest']} and is {digest}")
        if len(stored) != descriptor["size"]:
            self.problems.add(f"the {what} is said to be {descriptor['size']} bytes and is {len(stored)}")
        return stored

    def resolve(self, layer, entry, seen=()):
        """The entry that holds the data of a name: itself, or where its links lead, as Windows hosts look it up."""
        if entry.typeflag != "1":
            return layer, entry
        if entry in seen:
            return None
        earlier = layer.entries[: layer.entries.index(entry)] if layer.names.get(fold(entry.link)) else []
        for target in earlier:
            if target.name == entry.link:
                return self.resolve(layer, target, (*seen, entry))
        if layer.number == 0:
            # In a base layer the link is made at once, on a file system that does not mind the case.
            for target in earlier:
                if target.folded == fold(entry.link):
                    return self.resolve(layer, target, (*seen, entry))
        for below in reversed(self.layers[: layer.number]):
            target = below.names.get(fold(entry.link))
            if target and target.typeflag in "01" and target.is_name:
                return self.resolve(below, target, (*seen, entry))
        return None


def lower_keys(config):
    """A config with the keys that Go reads in any letter case, in lower case."""
    config = {key.lower(): value for key, value in config.items()}
    if isinstance(config.get("config"), dict):
        config["config"] = {key.lower(): value for key, value in config["config"].items()}
    return config


class Patterns:
    """Windows paths with `*`, `?`, `**`, `[a-z]` and `{a,b}`; what they match goes with everything below."""

    def __init__(self, patterns):
        self.expressions = [re.compile(self.expression(pattern)) for pattern in patterns]

    @staticmethod
    def expression(pattern):
        pattern = pattern.replace("\\", "/")
        root = "FILES"
        if pattern.upper().startswith("UTILITYVM:"):
            root, pattern = ("UTILITYVM/FILES", pattern[10:]) if pattern[10:].strip("/") else ("UTILITYVM", "")
        elif pattern.upper().startswith("C:"):
            pattern = pattern[2:]
        out, depth = "", 0
        for token in re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]*\]|\{|\}|,|[^*?\[{},]+", fold(pattern)):
            simple = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}
            depth += (token == "{") - (token == "}")
            if token == "," and depth:
                out += "|"
            elif token in simple:
                out += simple[token]
            else:
                out += token if token.startswith("[") else re.escape(token)
        return f"{root}{'/' if out else ''}{out}(?:/.*)?"

    def match(self, folded):
        return any(expression.fullmatch(folded) for expression in self.expressions)


class Expectation:
    """What must be left of a layer, what may be, and what must be as it was to the byte."""

    def __init__(self, source, layer, removed, keep, shadowed, any_removed=False):
        def goes(folded):
            return removed.match(folded) and not keep.match(folded)

        self.needed, self.optional = set(), set()
        above = source.layers[layer.number + 1 :]
        below = source.layers[: layer.number]
        for entry in layer.entries:
            target = entry.owner or entry.whiteout or entry.folded
            overridden = any(
                other.whiteout == target or (other.folded == target and other.typeflag != "5")
                for upper in above
                for other in (upper.names.get(target), upper.names.get(whiteout_name(target)))
                if other
            )
            if entry.whiteout:
                remains = any(target in lower.names for lower in below) and not goes(target)
                if remains and not shadowed:
                    self.needed.add(entry.folded)
                elif remains or target.startswith("FILES/"):
                    self.optional.add(entry.folded)
            elif not goes(target):
                drop = shadowed and overridden and entry.typeflag != "5"
                (self.optional if drop else self.needed).add(entry.folded)
        if any_removed:
            self.needed, self.optional = set(), {entry.folded for entry in layer.entries}
        # A directory stays when it matches nothing, or when something below it stays.
        for names in (self.needed, self.optional):
            for folded in list(names):
                while "/" in folded:
                    folded = folded.rsplit("/", 1)[0]
                    names.add(folded)
        self.optional -= self.needed


def whiteout_name(folded):
    directory, _, name = folded.rpartition("/")
    return f"{directory}/.WH.{name}"


def compare_layer(source, result, old, new, expectation, problems):
    where = f"layer {old.number}"
    have = set(new.names)
    wanted = expectation.needed & set(old.names)
    for folded in sorted(wanted - have):
        problems.add(f"{where} has lost `{old.names[folded].name}`")
    for folded in sorted(have - wanted - expectation.optional):
        known = "still has" if folded in old.names else "has grown"
        problems.add(f"{where} {known} `{new.names[folded].name}`")

    order = [entry.name for entry in old.entries if entry.folded in have]
    if order != [entry.name for entry in new.entries if entry.folded in old.names]:
        problems.add(f"{where}: names are spelled otherwise or in another order")

    changed = len(have) != len(old.names)
    received = False
    for entry in new.entries:
        before = old.names.get(entry.folded)
        if before is None:
            continue
        before_holder = source.resolve(old, before)
        after_holder = result.resolve(new, entry)
        if after_holder is None:
            problems.add(f"{where}: `{entry.name}` is a link to nothing (`{entry.link}`)")
            continue
        if before_holder is None:
            continue
        (before_layer, before_entry), (_, after_entry) = before_holder, after_holder
        if after_entry.data_hash != before_entry.data_hash:
            problems.add(f"{where}: `{entry.name}` has other contents than before")
        if after_entry.windows_records() != before_entry.windows_records():
            problems.add(f"{where}: `{entry.name}` has other MSWINDOWS records than before")
        if after_entry.times() != before_entry.times():
            problems.add(f"{where}: `{entry.name}` has other times than before")
        if after_entry.mode != before_entry.mode:
            problems.add(f"{where}: the mode of `{entry.name}` was {before_entry.mode:o} and is {after_entry.mode:o}")
        if entry.blocks == before.blocks:
            continue
        changed = True
        # Only a link may change, and only when the name that it led to is gone.
        if before.typeflag != "1":
            problems.add(f"{where}: header, records, data or padding of `{entry.name}` are not the same bytes")
        elif target_stays(source, result, old, before):
            problems.add(f"{where}: the link `{entry.name}` was changed though its target is there")
        elif entry.typeflag not in "01":
            problems.add(f"{where}: `{entry.name}` was a link and is of type {entry.typeflag}")
        elif entry.typeflag == "1" and other_metadata(entry, before):
            problems.add(f"{where}: the link `{entry.name}` has other records or another mode than before")
        elif entry.typeflag == "0" and before_layer is not old:
            received = True
    if not changed and new.digest != old.digest:
        problems.add(f"{where} was written anew though nothing in it changes")
    if new.size > old.size and not received:
        problems.add(f"{where} has grown from {old.size} to {new.size} bytes")


def other_metadata(entry, before):
    return (entry.mode, entry.windows_records(), entry.times()) != (before.mode, before.windows_records(), before.times())


def target_stays(source, result, layer, link):
    """Whether the entry that a link names directly is in the result as it was."""
    for entry in layer.entries[: layer.entries.index(link)]:
        if entry.name == link.link:
            after = result.layers[layer.number].names.get(entry.folded)
            return after is not None
    for below in reversed(source.layers[: layer.number + (layer.number == 0)]):
        if fold(link.link) in below.names:
            return fold(link.link) in result.layers[below.number].names
    return False


def check_import(layout, problems):
    """The rules of Windows hosts that any layer must follow."""
    for layer in layout.layers:
        where, seen, last_owner = f"layer {layer.number}", {}, None
        for entry in layer.entries:
            name = entry.name
            if name.endswith("/"):
                problems.add(f"{where}: `{name}` ends with a slash")
            if name.startswith(("/", "./")) or ".." in name.split("/") or "\\" in name:
                problems.add(f"{where}: `{name}` is not a plain relative name")
            parent = name.rstrip("/").rpartition("/")[0]
            if parent and seen.get(fold(parent)) != "5":
                problems.add(f"{where}: `{name}` comes without its directory in front")
            if entry.typeflag == "5" and not entry.mode & 0o040000 and layer_has_type_bits(layer):
                problems.add(f"{where}: `{name}` has lost the type bits of its mode")
            if entry.owner and entry.owner != last_owner:
                problems.add(f"{where}: the stream `{name}` is not behind its file")
            if entry.whiteout and layer.number == 0:
                problems.add(f"{where}: the base layer has the whiteout `{name}`")
            if entry.whiteout and entry.whiteout.startswith("UTILITYVM/"):
                if not any(entry.whiteout in below.names for below in layout.layers[: layer.number]):
                    problems.add(f"{where}: the whiteout `{name}` deletes nothing")
            if not entry.owner:
                last_owner = entry.folded
            if entry.is_name:
                seen[entry.folded] = entry.typeflag
        top = {entry.name for entry in layer.entries if "/" not in entry.name.rstrip("/")}
        wanted = {"Files"} if layer.number == 0 else {"Files", "Hives"}
        if not wanted <= top or not top <= wanted | {"UtilityVM"}:
            problems.add(f"{where} has {', '.join(sorted(top))} at its top")
    below = any(name.startswith("UTILITYVM") for layer in layout.layers for name in layer.names)
    if below and not {"UTILITYVM", "UTILITYVM/FILES"} <= layout.layers[0].names.keys():
        problems.add("UtilityVM is there in part")


def layer_has_type_bits(layer):
    return any(entry.typeflag == "0" and entry.mode & 0o100000 for entry in layer.entries)


def check_documents(source, result, problems):
    config = result.config
    diff_ids = config.get("rootfs", {}).get("diff_ids", [])
    if diff_ids != [layer.diff_id for layer in result.layers]:
        problems.add("the config's diff IDs are not those of the layers")
    layered = [entry for entry in config.get("history", []) if not entry.get("empty_layer")]
    if len(layered) != len(result.layers):
        problems.add(f"the config has {len(layered)} lines of history for {len(result.layers)} layers")
    for key in ("os", "architecture", "os.version", "os.features", "config"):
        if config.get(key) != source.config.get(key):
            problems.add(f"`{key}` of the config was {source.config.get(key)} and is {config.get(key)}")
    platform = {key: config[key] for key in ("architecture", "os", "os.version", "os.features") if key in config}
    if result.platform is None:
        problems.add("the index has lost the platform")
    elif {key: value for key, value in result.platform.items() if value} != platform:
        problems.add(f"the index says {result.platform} and the config {platform}")


def compare(arguments):
    problems = Problems()
    source = Layout(arguments.source, arguments.source_tag, arguments.os_version, Problems())
    result = Layout(arguments.result, arguments.result_tag, arguments.os_version, problems, result=True)
    check_documents(source, result, problems)
    check_import(result, problems)
    if len(result.layers) != len(source.layers) + arguments.added_layers:
        problems.add(f"there were {len(source.layers)} layers and are {len(result.layers)}")
    removed, keep = Patterns(arguments.removed), Patterns(arguments.keep)
    for old, new in zip(source.layers, result.layers):
        expectation = Expectation(source, old, removed, keep, arguments.shadowed, arguments.any_removed)
        compare_layer(source, result, old, new, expectation, problems)
    return problems


def check(arguments):
    """Every problem of the result that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("result")
    parser.add_argument("--removed", nargs="*", default=[], help="patterns of what must be gone")
    parser.add_argument("--keep", nargs="*", default=[], help="patterns of what must stay all the same")
    parser.add_argument("--shadowed", action="store_true", help="names replaced in a layer above may be gone")
    parser.add_argument("--any-removed", action="store_true", help="any name may be gone; look at the others only")
    parser.add_argument("--added-layers", type=int, default=0, help="how many new layers are on top")
    parser.add_argument("--os-version", help="which image of an index")
    parser.add_argument("--source-tag")
    parser.add_argument("--result-tag")
    try:
        return compare(parser.parse_args(arguments))
    except (ValueError, KeyError, OSError, EOFError, tarfile.TarError) as error:
        return [f"cannot be read: {error}"]


def main():
    problems = check(sys.argv[1:])
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
