#!/usr/bin/env python3
"""Shows that check.py can fail: a right result passes, and each way to break one is reported.

    check_test.py SOURCE

SOURCE is the OCI layout of a sample image. The result is made here by a small rewriter, then broken in one way at a time.
"""

import copy
import functools
import gzip
import hashlib
import json
import pathlib
import re
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True  # Nothing but tests is left of a test run.
import check

SOURCE = pathlib.Path(__file__).parent / "sample"
REMOVED = [r"Windows\SysWOW64", r"Windows\WinSxS\amd64_*", r"Windows\System32\b*.dll"]


class Draft:
    """A result that is not written yet: the blocks of each layer's entries, and what the documents say."""

    def __init__(self, removed):
        self.source = read_source()
        patterns = check.Patterns(removed)
        self.config = json.loads(self.source.blob(self.source.manifest["config"], "config"))
        self.manifest, self.platform = copy.deepcopy(self.source.manifest), copy.deepcopy(self.source.platform)
        self.level, self.anew, self.promoted = 6, False, []
        holders = {}
        self.layers = [self.slim(layer, patterns, holders) for layer in self.source.layers]

    def slim(self, layer, patterns, holders):
        """The surviving entries as (name, blocks); the first surviving name of a removed file takes its data."""
        expectation = check.Expectation(self.source, layer, patterns, check.Patterns([]), False)
        entries = []
        for entry in layer.entries:
            if entry.folded not in expectation.needed:
                continue
            blocks = entry.blocks
            if entry.typeflag == "1" and not self.stays(layer, entry, patterns):
                holder = self.source.resolve(layer, entry)[1]
                if not patterns.match(holder.folded):
                    blocks = make(entry.name, "1", entry.pax, entry.mode, b"", holder.name)
                elif id(holder) in holders:
                    blocks = make(entry.name, "1", entry.pax, entry.mode, b"", holders[id(holder)])
                else:
                    holders[id(holder)] = entry.name
                    self.promoted.append((layer.number, entry.name))
                    blocks = make(entry.name, "0", holder.pax, holder.mode, data_of(holder))
            entries.append((entry.name, blocks))
        return entries

    def stays(self, layer, link, patterns):
        for other in (layer, *reversed(self.source.layers[: layer.number])):
            target = other.names.get(check.fold(link.link))
            if target:
                return not patterns.match(target.folded)
        return False

    def find(self, layer, name):
        return next(number for number, entry in enumerate(self.layers[layer]) if entry[0] == name)

    def replace(self, layer, name, change):
        number = self.find(layer, name)
        self.layers[layer][number] = (name, change(self.layers[layer][number][1]))

    def write(self, directory):
        blobs = pathlib.Path(directory) / "blobs" / "sha256"
        blobs.mkdir(parents=True)

        def put(stored, descriptor):
            digest = hashlib.sha256(stored).hexdigest()
            (blobs / digest).write_bytes(stored)
            return descriptor | {"digest": f"sha256:{digest}", "size": len(stored)}

        diff_ids = []
        for number, entries in enumerate(self.layers):
            raw = b"".join(blocks for _, blocks in entries) + bytes(2 * check.BLOCK)
            diff_ids.append("sha256:" + hashlib.sha256(raw).hexdigest())
            same = entries == [(entry.name, entry.blocks) for entry in self.source.layers[number].entries]
            original = (self.source.directory / "blobs" / self.source.layers[number].digest.replace(":", "/")).read_bytes()
            stored = original if same and not self.anew else gzip.compress(raw, self.level, mtime=0)
            self.manifest["layers"][number] = put(stored, self.manifest["layers"][number])
        if "diff_ids" not in self.config:
            self.config["rootfS"]["diff_ids"] = diff_ids
        self.manifest["config"] = put(json.dumps(self.config).encode(), self.manifest["config"])
        entry = {"mediaType": self.manifest["mediaType"], "platform": self.platform}
        entry = put(json.dumps(self.manifest).encode(), {key: value for key, value in entry.items() if value})
        index = {"mediaType": "application/vnd.oci.image.index.v1+json"}
        index = put(json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(), index)
        (pathlib.Path(directory) / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))


@functools.cache
def read_source():
    return check.Layout(SOURCE, None, None, check.Problems())


def data_of(entry):
    padded = -(-entry.size // check.BLOCK) * check.BLOCK
    return entry.blocks[len(entry.blocks) - padded :][: entry.size]


def header(name, typeflag, mode, size, link=""):
    def ascii_part(text):
        return text.encode("ascii", "ignore")[:100].ljust(100, b"\0")

    block = ascii_part(name) + b"%07o\0" % mode + b"0000000\0" * 2 + b"%011o\0" % size + b"00000000000\0"
    block += b" " * 8 + typeflag.encode() + ascii_part(link) + b"ustar\x0000" + bytes(247)
    return block[:148] + b"%06o\0 " % sum(block[:512]) + block[156:512]


def make(name, typeflag, pax, mode, data, link=""):
    """The blocks of an entry."""
    records = {key: value for key, value in pax.items() if key not in ("path", "linkpath")}
    records |= {"path": name} if len(name) > 100 or not name.isascii() else {}
    records |= {"linkpath": link} if len(link) > 100 or not link.isascii() else {}
    body = b"".join(record(key, value) for key, value in sorted(records.items()))
    blocks = header("PaxHeaders.0/x", "x", 0, len(body)) + padded(body) if body else b""
    return blocks + header(name, typeflag, mode, len(data), link) + padded(data)


def record(key, value):
    rest = len(f" {key}={value}\n".encode())
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return f"{length} {key}={value}\n".encode()


def padded(data):
    return data + bytes(-len(data) % check.BLOCK)


def remake(**changes):
    """A change that makes the entry anew, with something about it different."""

    def change(blocks):
        entry = check.read_tar(blocks + bytes(2 * check.BLOCK), "", [], twice=False)[0]
        pax = {key: value for key, value in entry.pax.items() if key != changes.get("drop")}
        name, mode = changes.get("name", entry.name), changes.get("mode", entry.mode)
        return make(name, entry.typeflag, pax, mode, data_of(entry), changes.get("link", entry.link))

    return change


TEXT = "Files/License.txt"
DIRECTORY = "Files/Windows/Fonts"
PROGRAM_DATA = "Files/ProgramData"


class CheckTest(unittest.TestCase):
    def problems_of(self, draft, removed):
        with tempfile.TemporaryDirectory() as directory:
            draft.write(directory)
            return check.check([str(SOURCE), directory, "--removed", *removed])

    def expect(self, words, breakage, removed=REMOVED):
        draft = Draft(removed)
        breakage(draft)
        problems = self.problems_of(draft, removed)
        self.assertTrue(any(re.search(words, problem) for problem in problems), f"{words!r} is not in {problems}")

    def test_right_results_pass(self):
        for removed in (REMOVED, [], ["UtilityVM:\\"], [r"Windows\WinSxS\*"], [r"Windows\System32\*.dll"]):
            draft = Draft(removed)
            self.assertEqual(self.problems_of(draft, removed), [], removed)
            if removed == REMOVED:
                self.assertEqual({number for number, _ in draft.promoted}, {0, 1}, "both layers take data over")

    def test_dangling_link(self):
        def breakage(draft):
            layer, name = draft.promoted[0]
            draft.layers[layer][draft.find(layer, name)] = (name, draft.source.layers[layer].names[check.fold(name)].blocks)

        self.expect("link to nothing", breakage)

    def test_lost_data_of_a_link_group(self):
        self.expect("has lost", lambda draft: draft.layers[0].pop(draft.find(*draft.promoted[0])))

    def test_cross_layer_link_left_dangling(self):
        def breakage(draft):
            layer, name = next(promoted for promoted in draft.promoted if promoted[0] == 1)
            draft.layers[layer][draft.find(layer, name)] = (name, draft.source.layers[layer].names[check.fold(name)].blocks)

        self.expect("layer 1: .* link to nothing", breakage)

    def test_names_that_differ_in_case_left_behind(self):
        removed = [r"Windows\System32\wbem"]

        def breakage(draft):
            entry = draft.source.layers[1].names["FILES/WINDOWS/SYSTEM32/WBEM/WMIPRVSE.EXE"]
            draft.layers[1].append((entry.name, entry.blocks))

        self.expect("still has .*WMIPRVSE.EXE", breakage, removed)

    def test_other_spelling(self):
        self.expect("spelled otherwise", lambda draft: self.rename(draft, TEXT, "Files/LICENSE.txt"))

    @staticmethod
    def rename(draft, name, other):
        number = draft.find(0, name)
        draft.layers[0][number] = (other, remake(name=other)(draft.layers[0][number][1]))

    def test_lost_records(self):
        for record in ("MSWINDOWS.fileattr", "MSWINDOWS.rawsd"):
            self.expect("other MSWINDOWS records", lambda draft: draft.replace(0, TEXT, remake(drop=record)))
        self.expect("other times", lambda draft: draft.replace(0, TEXT, remake(drop="LIBARCHIVE.creationtime")))

    def test_lost_records_on_a_link_that_leads_elsewhere(self):
        removed = [r"Windows\System32\certcli.dll"]
        name = "Files/Windows/WinSxS/amd64_microsoft-windows-certcli_31bf3856ad364e35_10.0.17763.8511_none_"

        def breakage(draft):
            link = next(entry[0] for entry in draft.layers[1] if entry[0].startswith(name) and "/certcli" in entry[0])
            draft.replace(1, link, remake(drop="MSWINDOWS.fileattr", mode=0o600))

        self.expect("other records or another mode", breakage, removed)

    def test_lost_records_on_a_promoted_name(self):
        self.expect(
            "other MSWINDOWS records", lambda draft: draft.replace(*draft.promoted[0], remake(drop="MSWINDOWS.rawsd"))
        )

    def test_slash_behind_a_directory(self):
        self.expect("ends with a slash", lambda draft: draft.replace(0, DIRECTORY, remake(name=DIRECTORY + "/")))

    def test_type_bits_of_the_mode(self):
        self.expect("type bits", lambda draft: draft.replace(0, DIRECTORY, remake(mode=0o755)))

    def test_wrong_contents_behind_a_link(self):
        name = "UtilityVM/Files/Windows/System32/ntdll.dll"
        other = "Files/Windows/System32/kernel32.dll"
        self.expect("other contents", lambda draft: draft.replace(0, name, remake(link=other)))

    def test_dropped_junction(self):
        name = "Files/Documents and Settings"
        self.expect("has lost `Files/Documents and Settings`", lambda draft: draft.layers[0].pop(draft.find(0, name)))

    def test_foreign_layer_left(self):
        def breakage(draft):
            draft.manifest["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
            draft.manifest["layers"][0]["urls"] = ["https://example.com/layer"]

        self.expect("not a plain layer", breakage)
        self.expect("still has URLs", breakage)

    def test_lost_platform(self):
        self.expect("lost the platform", lambda draft: setattr(draft, "platform", None))
        self.expect("the index says", lambda draft: draft.platform.pop("os.version"))
        self.expect("`os.version` of the config", lambda draft: draft.config.pop("os.version"))
        self.expect("`os.features` of the config", lambda draft: draft.config.pop("os.features"))

    def test_wrong_documents(self):
        self.expect("diff IDs", lambda draft: draft.config.update(diff_ids=[]))
        self.expect("lines of history", lambda draft: draft.config["history"].pop())
        self.expect("`config` of the config", lambda draft: draft.config["config"].pop("cmd"))

    def test_changed_bytes(self):
        def flip(position):
            return lambda blocks: blocks[:position] + bytes([blocks[position] ^ 1]) + blocks[position + 1 :]

        self.expect("not the same bytes", lambda draft: draft.replace(0, TEXT, flip(-1)))
        self.expect("other contents", lambda draft: draft.replace(0, TEXT, flip(-512)))
        self.expect("not the same bytes", lambda draft: draft.replace(0, TEXT, remake()))
        self.expect("wrong header checksum", lambda draft: draft.replace(0, TEXT, flip(0)))

    def test_order(self):
        def swap(draft):
            entries, number = draft.layers[0], draft.find(0, TEXT)
            entries[number], entries[number + 1] = entries[number + 1], entries[number]

        self.expect("in another order", swap)

        def child_first(draft):
            draft.layers[0].append(draft.layers[0].pop(draft.find(0, DIRECTORY)))

        self.expect("without its directory", child_first)
        self.expect("not behind its file", lambda draft: draft.layers[1].insert(3, self.take_stream(draft)))

    @staticmethod
    def take_stream(draft):
        return draft.layers[1].pop(draft.find(1, "Files/ProgramData/sample/download.zip:Zone.Identifier"))

    def test_too_little_and_too_much_removed(self):
        entry = "Files/Windows/SysWOW64/Speech/Common/sapi.dll"

        def left(draft):
            blocks = draft.source.layers[0].names[check.fold(entry)].blocks
            draft.layers[0].append((entry, blocks))

        self.expect("still has .*sapi.dll", left)
        self.expect("has lost .*Fonts", lambda draft: draft.layers[0].pop(draft.find(0, DIRECTORY)))
        self.expect("has grown", lambda draft: draft.layers[0].append(("Files/x", make("Files/x", "0", {}, 0, b""))))
        self.expect("has lost .*wh.notes.txt", lambda draft: draft.layers[1].pop(
            draft.find(1, "Files/Windows/SystemApps/.wh.notes.txt")
        ))

    def test_whiteout_of_nothing_in_the_utility_vm(self):
        removed = [r"UtilityVM:\Windows\System32\advpack.dll"]
        name = "UtilityVM/Files/Windows/System32/.wh.advpack.dll"

        def breakage(draft):
            entry = draft.source.layers[1].names[check.fold(name)]
            draft.layers[1].append((entry.name, entry.blocks))

        self.expect("deletes nothing", breakage, removed)

    def test_larger_layer(self):
        self.expect("has grown from", lambda draft: setattr(draft, "level", 0), [r"UtilityVM:\EFI\Microsoft\Boot\boot*"])

    def test_half_a_utility_vm(self):
        def breakage(draft):
            draft.layers[0] = [entry for entry in draft.layers[0] if entry[0] != "UtilityVM/Files"]

        self.expect("UtilityVM is there in part", breakage, [])

    def test_useless_rewrite(self):
        def breakage(draft):
            draft.level, draft.anew = 9, True

        self.expect("written anew", breakage, [])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        SOURCE = pathlib.Path(sys.argv.pop(1))
    unittest.main()
