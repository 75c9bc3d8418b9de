"""What the comparison reads of OCI layouts."""

import json
import tarfile


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
