use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::layer::index::tests::index_with;
use crate::layer::{LayerIndex, LayerPath};

/// An entry of a random image: kind, name, size, and the name that a link leads to.
fn entry() -> impl Strategy<Value = Entry> {
    let name = "(Files|UtilityVM/Files|Hives|files)(/(Windows|a|B|b|System32|WinSxS)){0,3}/(x|y.dll|Z.DLL|z.dll|\\.wh\\.x|\\.wh\\.a)";
    let kind = prop_oneof![
        Just(EntryKind::Directory),
        Just(EntryKind::File),
        Just(EntryKind::File),
        Just(EntryKind::HardLink),
        Just(EntryKind::Symlink),
        Just(EntryKind::Stream),
        Just(EntryKind::Other(b'7')),
    ];
    (kind, name, name, 0..5_000_u64).prop_map(|(kind, name, target, size)| {
        let kind = if name.contains("/.wh.") { EntryKind::Whiteout } else { kind };
        let has_data = matches!(kind, EntryKind::File | EntryKind::Stream | EntryKind::Other(_));
        Entry {
            kind,
            path: LayerPath::new(if kind == EntryKind::Stream { format!("{name}:s") } else { name }),
            link: (kind == EntryKind::HardLink).then(|| target.into()),
            start: 0.into(),
            data: 0.into(),
            size: if has_data { size } else { 0 },
            attributes: None,
            security: None,
            modified: 0,
            checksum: 0,
            head: None,
        }
    })
}

pub(crate) fn image() -> impl Strategy<Value = LayerStack> {
    let layer = (proptest::collection::vec(entry(), 0..40), 0..100_000_u64);
    proptest::collection::vec(layer, 1..4).prop_map(|layers| {
        let index = |(entries, stored): (Vec<Entry>, u64)| -> Arc<LayerIndex> { Arc::new(index_with(entries, stored)) };
        LayerStack::new(layers.into_iter().map(index).collect())
    })
}

/// All ways to group.
fn groupings() -> impl Iterator<Item = By> {
    let directories = (0..5).map(|depth| By::Directory { depth });
    [By::Layer, By::Component, By::Extension, By::File].into_iter().chain(directories)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_groups_of_an_image_add_up_to_the_same(stack in image(), count in 0..10_usize) {
        let model = SizeModel::new(&stack);
        let totals = model.totals();
        prop_assert_eq!(totals.compressed, stack.layers().iter().map(|layer| layer.stored_size).sum::<u64>());
        prop_assert_eq!(totals.unpacked, stack.layers().iter().map(|layer| layer.data_size()).sum::<u64>());
        prop_assert_eq!(totals.dead, model.dead().iter().map(|dead| dead.unpacked).sum::<u64>());
        prop_assert_eq!(totals.dead_compressed, model.dead().iter().map(|dead| dead.compressed).sum::<u64>());
        prop_assert!(totals.dead <= totals.unpacked && totals.dead_compressed <= totals.compressed);
        for by in groupings() {
            let groups = model.groups(Grouping { by, layer: None });
            prop_assert_eq!(groups.iter().map(|group| group.sizes).sum::<Sizes>(), totals, "{:?}", by);
            let labels: HashSet<String> = groups.iter().map(|group| model.label(group.key).to_uppercase()).collect();
            // A name without a container's view of it, such as a whiteout, may be there once for each layer.
            prop_assert!(by == By::File || labels.len() == groups.len(), "{:?}: {:?}", by, groups);
            let shown = group::top(groups, count);
            prop_assert!(shown.len() <= count + 1);
            prop_assert_eq!(shown.iter().map(|group| group.sizes).sum::<Sizes>(), totals);
        }
    }

    #[test]
    fn layers_add_up_to_the_image(stack in image()) {
        let model = SizeModel::new(&stack);
        let layers = model.groups(Grouping { by: By::Layer, layer: None });
        for by in groupings() {
            for (number, layer) in stack.layers().numbers().zip(&layers) {
                let groups = model.groups(Grouping { by, layer: Some(number) });
                prop_assert_eq!(groups.iter().map(|group| group.sizes).sum::<Sizes>(), layer.sizes);
                prop_assert_eq!(layer.sizes.compressed, stack.layers()[number].stored_size);
            }
        }
    }
}

pub(crate) fn file(name: &str, size: u64) -> Entry {
    Entry {
        kind: EntryKind::File,
        path: LayerPath::new(name),
        link: None,
        start: 0.into(),
        data: 0.into(),
        size,
        attributes: None,
        security: None,
        modified: 0,
        checksum: 0,
        head: None,
    }
}

pub(super) fn link(name: &str, target: &str) -> Entry {
    Entry { kind: EntryKind::HardLink, link: Some(target.into()), ..file(name, 0) }
}

#[test]
fn data_lives_as_long_as_one_of_its_names() {
    let base = vec![
        file("Files/held", 1000),
        Entry { kind: EntryKind::Stream, ..file("Files/held:s", 10) },
        link("Files/second", "Files/held"),
        file("Files/gone", 500),
        Entry { kind: EntryKind::Stream, ..file("Files/gone:s", 5) },
        link("Files/gone-too", "Files/gone"),
    ];
    let first = vec![file("Files/HELD", 1), file("Files/gone", 2)];
    let second = vec![Entry { kind: EntryKind::Whiteout, ..file("Files/.wh.gone-too", 0) }];
    let layers = [base, first, second].map(|entries| Arc::new(index_with(entries, 1_000_000)));
    let stack = LayerStack::new(layers.to_vec());
    let model = SizeModel::new(&stack);
    let dead: Vec<_> = model.entries().map(|(_, _, size)| size.dead_by().map(u32::from)).collect();
    // The links are hidden as names; the data of the second group is dead since its last name is.
    assert_eq!(dead, [None, None, None, Some(2), Some(2), Some(2), None, None, None]);
    assert_eq!(model.totals().dead, 505);
    assert_eq!(model.totals().unpacked, 1518);
    assert_eq!(model.totals().files, 6);
    assert_eq!(
        model
            .dead()
            .iter()
            .map(|dead| (dead.layer.into(), dead.by.into(), dead.files))
            .collect::<Vec<(u32, u32, u64)>>(),
        [(0, 2, 2)]
    );
}

#[test]
fn groups_are_called_as_on_windows() {
    let directory = |name: &str| Entry { kind: EntryKind::Directory, ..file(name, 0) };
    let entries = vec![
        directory("Files"),
        directory("Files/Windows"),
        file("Files/Windows/a.EXE", 10),
        file("files/windows/Sub/b.exe", 20),
        file("Files/c", 1),
        directory("UtilityVM"),
        directory("UtilityVM/Files"),
        file("UtilityVM/Files/EFI/x.efi", 5),
    ];
    let stack = LayerStack::new(vec![Arc::new(index_with(entries, 5000))]);
    let model = SizeModel::new(&stack);
    let labels = |by| {
        let groups = model.groups(Grouping { by, layer: None });
        let mut labels: Vec<_> =
            groups.iter().map(|group| format!("{} {}", model.label(group.key), group.sizes.unpacked)).collect();
        labels.sort_unstable();
        labels
    };
    let overhead = "(archive overhead) 0";
    assert_eq!(labels(By::Layer), ["0 36"]);
    assert_eq!(labels(By::Component), [overhead, "C:\\ 1", "utility-vm 5", "windows 30"]);
    assert_eq!(labels(By::Directory { depth: 0 }), [overhead, "UtilityVM:\\ 5", "\\ 31"]);
    assert_eq!(
        labels(By::Directory { depth: 1 }),
        [overhead, "UtilityVM:\\ 0", "UtilityVM:\\EFI 5", "Windows 30", "\\ 1"]
    );
    assert_eq!(
        labels(By::Extension),
        [overhead, "(directories) 0", "(none) 1", ".efi 5", ".exe 30"].map(str::to_owned)
    );
}

#[test]
fn the_profile_named_for_a_component_removes_files_of_it() {
    let examples = [
        ("utility-vm", "UtilityVM/Files/Windows/x.dll"),
        ("logs-and-temporary", "Files/Windows/Logs/CBS/CBS.log"),
        ("defender", "Files/Program Files/Windows Defender/MsMpEng.exe"),
        ("winsxs-caches", "Files/Windows/WinSxS/ManifestCache/x.bin"),
        ("winsxs-backup", "Files/Windows/WinSxS/Backup/x.dll"),
        ("winsxs-payload-x86", "Files/Windows/WinSxS/x86_sample_1/x.dll"),
        ("winsxs-payload", "Files/Windows/WinSxS/amd64_sample_1/x.dll"),
        ("servicing", "Files/Windows/servicing/Packages/x.mum"),
        ("native-images", "Files/Windows/assembly/NativeImages_v4.0.30319_64/a/x.dll"),
        ("dotnet-x86", "Files/Windows/Microsoft.NET/Framework/v4.0.30319/clr.dll"),
        ("speech-input-help", "Files/Windows/Speech/x.dll"),
        ("syswow64", "Files/Windows/SysWOW64/x.dll"),
        ("program-files-x86", "Files/Program Files (x86)/App/x.exe"),
        ("driver-store", "Files/Windows/System32/DriverStore/FileRepository/prnx.inf_1/x.sys"),
    ];
    let entries = examples.map(|(_, example)| (EntryKind::File, example));
    let names = crate::layer::Names::collect(std::iter::once(&crate::layer::index::tests::index_of(&entries)));
    let mut classifier = Classifier::new(&names);
    for component in crate::windows::components::COMPONENTS {
        let example = examples.iter().find(|(name, _)| *name == component.name).map(|(_, example)| *example);
        assert_eq!(example.is_some(), component.removed_by.is_some(), "{}", component.name);
        let (Some(example), Some(profile)) = (example, component.removed_by) else { continue };
        let folded = LayerPath::new(example).fold();
        let id = classifier.classify(&names, names.find(folded.as_str()).unwrap(), example, false);
        assert_eq!(classifier.name(id), component.name);
        let rules = crate::profile::load(&[profile]).unwrap();
        let mut above = std::iter::once(folded.as_str()).chain(folded.ancestors());
        let removed = above.any(|path| rules.removes.iter().any(|rule| rule.paths.is_match(path)));
        assert!(removed, "profile {profile} does not remove {example}");
    }
}
