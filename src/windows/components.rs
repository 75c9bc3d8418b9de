//! The parts that Windows consists of, by where their files lie.
//!
//! Every name of an image belongs to exactly one component: the first of [`COMPONENTS`] that has it, or one named after its
//! first directory.

use crate::layer::path::NameMap;
use crate::layer::{FoldedPath, NameId, Names};
use crate::numbered::NumberedVec;

/// A named part of Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// What reports call it.
    pub name: &'static str,
    /// What it is, in a line.
    pub meaning: &'static str,
    /// The smallest built-in profile that removes it, or most of it.
    pub removed_by: Option<&'static str>,
    /// Paths as in profiles, where one `*` may stand in each component; all below a path belongs to it too.
    pub paths: &'static [&'static str],
}

const fn component(
    name: &'static str,
    meaning: &'static str,
    removed_by: &'static str,
    paths: &'static [&'static str],
) -> Component {
    Component { name, meaning, removed_by: if removed_by.is_empty() { None } else { Some(removed_by) }, paths }
}

/// All named components; a name belongs to the first that has it.
///
/// Source of the places: the lists of people who make Windows images smaller, and the profiles that come with winslim.
pub static COMPONENTS: &[Component] = &[
    component("utility-vm", "virtual machine for Hyper-V isolation", "no-utilityvm", &[r"UtilityVM:\"]),
    component("registry-deltas", "changes of a layer to the registry", "", &[r"Hives:\"]),
    component("registry-hives", "the registry, with its logs", "", &[r"Windows\System32\config"]),
    component(
        "logs-and-temporary",
        "logs, crash reports, temporary files, downloads of updates",
        "safe",
        &[
            r"Windows\CbsTemp",
            r"Windows\inf\*.log",
            r"Windows\LiveKernelReports",
            r"Windows\Logs",
            r"Windows\Minidump",
            r"Windows\Panther",
            r"Windows\Prefetch",
            r"Windows\SoftwareDistribution\Download",
            r"Windows\System32\winevt\Logs",
            r"Windows\Temp",
            r"Users\*\AppData\Local\Temp",
        ],
    ),
    component(
        "defender",
        "Microsoft Defender and its definitions",
        "no-defender",
        &[
            r"Program Files\Windows Defender*",
            r"Program Files (x86)\Windows Defender*",
            r"ProgramData\Microsoft\Windows Defender",
            r"Windows\WinSxS\amd64_windows-defender-*",
            r"Windows\WinSxS\wow64_windows-defender-*",
            r"Windows\WinSxS\x86_windows-defender-*",
        ],
    ),
    component(
        "winsxs-caches",
        "component store: caches and intermediate files",
        "safe",
        &[r"Windows\WinSxS\ManifestCache", r"Windows\WinSxS\Temp"],
    ),
    component("winsxs-backup", "component store: spare copies for repairs", "servicing", &[r"Windows\WinSxS\Backup"]),
    component(
        "winsxs-manifests",
        "component store: manifests and catalogs",
        "",
        &[
            r"Windows\WinSxS\Manifests",
            r"Windows\WinSxS\Catalogs",
            r"Windows\WinSxS\FileMaps",
            r"Windows\WinSxS\Fusion",
            r"Windows\WinSxS\InstallTemp",
        ],
    ),
    component(
        "winsxs-payload-x86",
        "component store: 32-bit files",
        "no-wow64",
        &[r"Windows\WinSxS\x86_*", r"Windows\WinSxS\wow64_*"],
    ),
    component("winsxs-payload", "component store: files for installing and repairing", "winsxs", &[r"Windows\WinSxS"]),
    component("servicing", "records of packages and updates", "servicing", &[r"Windows\servicing"]),
    component("catalogs", "signature catalogs", "", &[r"Windows\System32\catroot", r"Windows\System32\catroot2"]),
    component(
        "native-images",
        "precompiled .NET Framework code",
        "native-images",
        &[r"Windows\assembly\NativeImages_*"],
    ),
    component(
        "dotnet-x86",
        ".NET Framework, 32-bit",
        "no-wow64",
        &[r"Windows\Microsoft.NET\Framework", r"Windows\Microsoft.NET\assembly\GAC_32", r"Windows\assembly\GAC_32"],
    ),
    component(
        "dotnet-gac",
        ".NET Framework, assemblies of the global cache",
        "",
        &[r"Windows\assembly", r"Windows\Microsoft.NET\assembly"],
    ),
    component("dotnet", ".NET Framework, 64-bit", "", &[r"Windows\Microsoft.NET"]),
    component(
        "speech-input-help",
        "speech, input methods, help, sounds and wallpapers",
        "no-speech-ime-help",
        &[
            r"Windows\Cursors",
            r"Windows\Help",
            r"Windows\IME",
            r"Windows\InputMethod",
            r"Windows\Media",
            r"Windows\Speech",
            r"Windows\Speech_OneCore",
            r"Windows\Web",
            r"Windows\System32\IME",
            r"Windows\System32\InputMethod",
            r"Windows\System32\Speech",
            r"Windows\System32\Speech_OneCore",
            r"Windows\SysWOW64\IME",
            r"Windows\SysWOW64\InputMethod",
            r"Windows\SysWOW64\Speech",
            r"Windows\SysWOW64\Speech_OneCore",
        ],
    ),
    component(
        "powershell",
        "Windows PowerShell and its modules",
        "",
        &[r"Windows\System32\WindowsPowerShell", r"Program Files\WindowsPowerShell"],
    ),
    component("syswow64", "32-bit subsystem", "no-wow64", &[r"Windows\SysWOW64"]),
    component("program-files-x86", "32-bit programs", "no-wow64", &[r"Program Files (x86)"]),
    component("driver-store", "drivers to be installed", "drivers", &[r"Windows\System32\DriverStore", r"Windows\INF"]),
    component("drivers", "installed drivers", "", &[r"Windows\System32\drivers", r"Windows\System32\DRVSTORE"]),
    component("fonts", "fonts", "", &[r"Windows\Fonts"]),
    component("globalization", "tables for sorting, calendars and character sets", "", &[r"Windows\Globalization"]),
    component("installer-cache", "packages and patches of installed MSI products", "", &[r"Windows\Installer"]),
    component("wmi", "Windows Management Instrumentation", "", &[r"Windows\System32\wbem"]),
    component("iis", "web server", "", &[r"Windows\System32\inetsrv", r"inetpub"]),
    component(
        "setup-and-migration",
        "Windows setup, upgrade and migration",
        "",
        &[
            r"Windows\System32\oobe",
            r"Windows\System32\migration",
            r"Windows\System32\migwiz",
            r"Windows\System32\Sysprep",
            r"Windows\System32\setup",
            r"Windows\Setup",
        ],
    ),
    component("system32", "the system's programs and libraries", "", &[r"Windows\System32"]),
    component("windows", "the rest of the Windows directory", "", &[r"Windows"]),
    component("user-profiles", "users' files and settings", "", &["Users", "Documents and Settings"]),
    component("program-data", "settings and data of programs", "", &["ProgramData"]),
    component("program-files", "programs", "", &["Program Files"]),
];

/// The number of a component: one of [`COMPONENTS`], or one named after a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId(u32);

impl ComponentId {
    /// The number itself: below the length of [`COMPONENTS`] for one of these, and from there on without gaps.
    pub fn number(self) -> usize {
        self.0 as usize
    }
}

/// Finds the component of each name of an image.
#[derive(Debug)]
pub struct Classifier {
    nodes: Vec<Node>,
    /// Components named after directories, in the order in which they were met, by folded path.
    others: NameMap<Box<str>, ComponentId>,
    names: Vec<String>,
    /// For each name of the image, its component in the table.
    of_name: NumberedVec<NameId, Option<u32>>,
}

/// A directory on the way to paths of the table.
#[derive(Debug, Default)]
struct Node {
    literal: NameMap<Box<str>, usize>,
    /// What stands before and behind the `*`, and where it leads.
    wild: Vec<(Box<str>, Box<str>, usize)>,
    component: Option<u32>,
}

/// Where a path leads: the nodes that it is at, and the first component that has a directory above it or itself.
#[derive(Debug, Clone, Default)]
struct Reached {
    nodes: Vec<usize>,
    component: Option<u32>,
}

impl Classifier {
    /// Finds out where the names of an image are in the table.
    pub fn new(names: &Names) -> Classifier {
        let mut classifier = Classifier {
            nodes: vec![Node::default()],
            others: NameMap::default(),
            names: Vec::new(),
            of_name: NumberedVec::with_capacity(names.count()),
        };
        for (number, component) in COMPONENTS.iter().enumerate() {
            for path in component.paths {
                classifier.add(&in_tar(path), number as u32);
            }
        }
        let root = Reached { nodes: vec![0], component: None };
        let mut reached: NumberedVec<NameId, Reached> = NumberedVec::with_capacity(names.count());
        for name in names.all() {
            let directory = names.parent(name).map_or(&root, |directory| &reached[directory]);
            let here = classifier.step(directory, names.last_component(name));
            classifier.of_name.push(here.component);
            reached.push(here);
        }
        classifier
    }

    fn add(&mut self, folded: &str, component: u32) {
        let mut at = 0;
        for part in folded.split('/') {
            let next = self.nodes.len();
            let node = &mut self.nodes[at];
            at = match part.split_once('*') {
                None => *node.literal.entry(part.into()).or_insert(next),
                Some((before, after)) => {
                    let known = node.wild.iter().find(|(b, a, _)| **b == *before && **a == *after);
                    let known = known.map(|(_, _, node)| *node);
                    known.unwrap_or_else(|| {
                        node.wild.push((before.into(), after.into(), next));
                        next
                    })
                }
            };
            if at == next {
                self.nodes.push(Node::default());
            }
        }
        // The first component that names a path has it.
        let place = &mut self.nodes[at].component;
        *place = Some(place.map_or(component, |first| first.min(component)));
    }

    /// The component of a file or directory with this name, which the tar spells like this (`Files/Windows/…`).
    pub fn classify(&mut self, names: &Names, name: NameId, spelled: &str, is_directory: bool) -> ComponentId {
        match self.of_name[name] {
            Some(component) => ComponentId(component),
            None => self.other(spelled, names.text(name), is_directory),
        }
    }

    fn step(&self, from: &Reached, part: &str) -> Reached {
        let mut reached = Reached { nodes: Vec::new(), component: from.component };
        for node in from.nodes.iter().map(|&node| &self.nodes[node]) {
            let fits = |before: &str, after: &str| {
                part.len() >= before.len() + after.len() && part.starts_with(before) && part.ends_with(after)
            };
            let wild = node.wild.iter().filter(|(before, after, _)| fits(before, after)).map(|(_, _, next)| *next);
            for next in node.literal.get(part).copied().into_iter().chain(wild) {
                let component = self.nodes[next].component;
                reached.component = match (reached.component, component) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
                if !self.nodes[next].literal.is_empty() || !self.nodes[next].wild.is_empty() {
                    reached.nodes.push(next);
                }
            }
        }
        reached
    }

    /// The component named after the first directory of a name, or of files directly below `C:\`.
    fn other(&mut self, name: &str, folded: &str, is_directory: bool) -> ComponentId {
        let first = match folded.split_once('/') {
            Some(("FILES", below)) => match below.split_once('/') {
                Some((first, _)) => &folded[.."FILES/".len() + first.len()],
                None if is_directory => folded,
                None => "FILES",
            },
            Some((first, _)) => first,
            None => folded,
        };
        if let Some(&id) = self.others.get(first) {
            return id;
        }
        let id = ComponentId((COMPONENTS.len() + self.names.len()) as u32);
        self.others.insert(first.into(), id);
        let depth = first.split('/').count();
        let spelled: Vec<&str> = name.trim_start_matches("./").split(['/', '\\']).take(depth).collect();
        self.names.push(match first {
            "FILES" => "C:\\".to_owned(),
            _ => match spelled.join("\\").split_once('\\') {
                Some((_, directory)) => format!("C:\\{directory}"),
                None => spelled.join("\\"),
            },
        });
        id
    }

    /// What a component is called.
    pub fn name(&self, id: ComponentId) -> &str {
        let number = id.0 as usize;
        match COMPONENTS.get(number) {
            Some(component) => component.name,
            None => self.names.get(number - COMPONENTS.len()).map_or("", String::as_str),
        }
    }

    /// What a component is, if it is one of [`COMPONENTS`].
    pub fn component(&self, id: ComponentId) -> Option<&'static Component> {
        COMPONENTS.get(id.0 as usize)
    }
}

/// The folded in-tar name of a path of the table.
fn in_tar(path: &str) -> String {
    let name = match path.split_once(":\\") {
        Some((root, rest)) => format!("{root}/{rest}"),
        None => format!("Files/{path}"),
    };
    FoldedPath::new(&name).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::index::tests::index_of;
    use crate::layer::{EntryId, EntryKind, EntryNumber};

    /// What the component of each name is called; names that end with a separator are directories.
    fn classes(spelled: &[&str]) -> Vec<(u32, String)> {
        let kind = |name: &str| if name.ends_with('/') { EntryKind::Directory } else { EntryKind::File };
        let index = index_of(&spelled.iter().map(|name| (kind(name), *name)).collect::<Vec<_>>());
        let names = Names::collect(std::iter::once(&index));
        let mut classifier = Classifier::new(&names);
        let class = |(number, spelled): (EntryNumber, &&str)| {
            let name = names.of(EntryId::new(0, number));
            let id = classifier.classify(&names, name, spelled, spelled.ends_with('/'));
            (id.0, classifier.name(id).to_owned())
        };
        index.entries.numbers().zip(spelled).map(class).collect()
    }

    #[test]
    fn every_name_has_one_component() {
        let expected = [
            ("Files", "C:\\"),
            ("Files/License.txt", "C:\\"),
            ("Files/App/x/y.exe", "C:\\App"),
            ("Files/app", "C:\\"),
            ("Files/app/", "C:\\App"),
            ("./files/APP/z", "C:\\App"),
            ("Files/Windows", "windows"),
            ("files/windows/explorer.exe", "windows"),
            ("Files/Windows/System32/ntdll.dll", "system32"),
            ("Files/Windows/System32/config/SYSTEM", "registry-hives"),
            ("Files/Windows/INF/setupapi.dev.log", "logs-and-temporary"),
            ("Files/Windows/INF/net.inf", "driver-store"),
            ("Files/Windows/WinSxS", "winsxs-payload"),
            ("Files/Windows/WinSxS/amd64_a/x.dll", "winsxs-payload"),
            ("Files/Windows/WinSxS/wow64_a/x.dll", "winsxs-payload-x86"),
            ("Files/Windows/WinSxS/x86_windows-defender-ui_31bf/x.dll", "defender"),
            ("Files/Windows/WinSxS/Manifests/a.manifest", "winsxs-manifests"),
            ("Files/Windows/WinSxS/Temp/PendingDeletes/x", "winsxs-caches"),
            ("Files/Windows/assembly/NativeImages_v4.0.30319_64/a/b.dll", "native-images"),
            ("Files/Windows/assembly/GAC_MSIL/a.dll", "dotnet-gac"),
            ("Files/Windows/Microsoft.NET/Framework64/clr.dll", "dotnet"),
            ("Files/Windows/Microsoft.NET/Framework/clr.dll", "dotnet-x86"),
            ("Files/Users/me/AppData/Local/Temp/x", "logs-and-temporary"),
            ("Files/Users/me/AppData/Local/x", "user-profiles"),
            ("Files/Program Files/Windows Defender Advanced Threat Protection/x", "defender"),
            ("UtilityVM", "utility-vm"),
            ("UtilityVM/Files/Windows/System32/ntdll.dll", "utility-vm"),
            ("Hives/System_Delta", "registry-deltas"),
            ("Elsewhere/x/y", "Elsewhere"),
            ("", ""),
        ];
        for ((_, class), (name, component)) in classes(&expected.map(|(name, _)| name)).iter().zip(expected) {
            assert_eq!(class, component, "{name}");
        }
    }

    #[test]
    fn the_order_of_names_does_not_matter() {
        let names = ["Files/Windows/INF/a.log", "Files/Windows/INF/b.inf", "Files/x/y", "Files/X/z", "Files/Windows"];
        let classes = |names: &[&str]| {
            let named =
                names.iter().zip(classes(names)).map(|(name, (_, class))| (name.to_string(), class.to_uppercase()));
            let mut all: Vec<_> = named.collect();
            all.sort_unstable();
            all
        };
        let backward: Vec<&str> = names.iter().rev().copied().collect();
        assert_eq!(classes(&names), classes(&backward));
    }

    #[test]
    fn the_table_is_well_made() {
        for (number, component) in COMPONENTS.iter().enumerate() {
            assert!(COMPONENTS[..number].iter().all(|before| before.name != component.name), "{}", component.name);
            assert!(!component.meaning.is_empty() && !component.paths.is_empty());
            for path in component.paths {
                assert!(path.split('\\').all(|part| part.matches('*').count() <= 1), "{path}");
                let example = in_tar(path).replace('*', "x");
                let (found, name) = classes(&[&example])[0].clone();
                // An earlier component may take an example, but then the path must not be lost altogether.
                assert!(found as usize <= number, "{path} belongs to {name}");
            }
        }
    }
}
