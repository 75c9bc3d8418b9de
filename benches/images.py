"""What the comparison reads of OCI layouts, and a copy of one that programs can unpack on Linux."""

import gzip
import hashlib
import json
import shutil
import tarfile
import tempfile


def blob(layout, digest):
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def manifest_of(layout, tag=None):
    """The manifest of the only image of a layout, or of the one with the tag."""
    document = json.loads((layout / "index.json").read_text())
    if tag:
        name = "org.opencontainers.image.ref.name"
        document["manifests"] = [entry for entry in document["manifests"] if entry.get("annotations", {}).get(name) == tag]
    while "layers" not in document:
        # Artifacts come last, but crane gives images a type of artifact too.
        entry = min(document["manifests"], key=lambda entry: "artifactType" in entry)
        document = json.loads(blob(layout, entry["digest"]).read_text())
    return document


def layers_of(layout, tag=None):
    """The layers of that image, as files."""
    return [blob(layout, layer["digest"]) for layer in manifest_of(layout, tag)["layers"]]


def damage(layers):
    """How many hard links lead to a name that their layers have no entry for, and how many files have no Windows records.

    Nothing if what a program wrote is no tar.
    """
    names, links, bare = set(), [], 0
    try:
        for layer in layers:
            with tarfile.open(layer) as tar:
                for entry in tar:
                    names.add(entry.name)
                    if entry.islnk():
                        links.append(entry.linkname)
                    # What says that a name of a lower layer is gone has no records.
                    elif entry.isreg() and "/.wh." not in f"/{entry.name}":
                        bare += not any(key.startswith("MSWINDOWS.") for key in entry.pax_headers)
    except (tarfile.TarError, EOFError):
        return None
    return sum(link not in names for link in links), bare


def linux_copy(layout, copy):
    """Copies the image of a layout as Linux programs can unpack it.

    It says that it is for Linux, and its hard links spell names as the layers below them do.
    """
    blobs = copy / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def add(content):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    manifest = manifest_of(layout)
    spelled, diffs = {}, []
    for layer in manifest["layers"]:
        source = blob(layout, layer["digest"])
        with tempfile.TemporaryFile(dir=copy) as tar:
            with gzip.open(source) as inflated:
                shutil.copyfileobj(inflated, tar)
            changed = spell_links(tar, spelled)
            tar.seek(0)
            diffs.append(f"sha256:{hashlib.file_digest(tar, 'sha256').hexdigest()}")
            if changed:
                tar.seek(0)
                layer |= add(gzip.compress(tar.read(), 6))
            else:
                shutil.copy(source, blobs)
    # A new one, because the one of a Windows image may have what these programs do not expect.
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diffs}}
    manifest["config"] |= add(json.dumps(config).encode())
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", **add(json.dumps(manifest).encode())}
    entry["annotations"] = {"org.opencontainers.image.ref.name": "ltsc2019"}
    (copy / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    shutil.copy(layout / "oci-layout", copy)


def spell_links(file, spelled):
    """Gives the hard links of a tar the spelling of the names that they lead to, and tells how many had another.

    `spelled` has the names of the layers below by their lower case, and gets those of this one.
    """
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        entries = tar.getmembers()
    names = {entry.name for entry in entries} | set(spelled.values())
    spelled |= {entry.name.lower(): entry.name for entry in entries}
    count = 0
    for entry in entries:
        right = spelled.get(entry.linkname.lower())
        if not entry.islnk() or entry.linkname in names or right is None:
            continue
        old, new = entry.linkname.encode(), right.encode()
        file.seek(entry.offset)
        headers = bytearray(file.read(entry.offset_data - entry.offset))
        headers = headers.replace(b"linkpath=" + old + b"\n", b"linkpath=" + new + b"\n")
        # The last block is the header proper; what is before it are the records.
        header = headers[-512:]
        if header[157:257].rstrip(b"\0") == old:
            header[157 : 157 + len(new)] = new
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        headers[-512:] = header
        file.seek(entry.offset)
        file.write(headers)
        count += 1
    return count
