//! Plans for small made-up images, checked entry by entry.

mod oracle;
mod savings;
mod scale;
mod utility_vm;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::gzip::BlockMap;
use crate::image::Digest;
use crate::image::media_type::Compression;
use crate::layer::{Entry, EntryId, EntryKind, LayerIndex, LayerPath};
use crate::position::RawPosition;
use crate::profile::{KeepRule, PatternSet, RemoveRule};

/// An entry in short: `dir/` is a directory, `name -> target` a hard link, `.wh.` a whiteout, `a:b` a stream, all else a file
/// of 1000 bytes.
fn entry(text: &str, start: RawPosition) -> Entry {
    let (name, link) = text.split_once(" -> ").map_or((text, None), |(name, link)| (name, Some(link)));
    let path = LayerPath::new(name.trim_end_matches('/'));
    let kind = match () {
        () if name.ends_with('/') => EntryKind::Directory,
        () if link.is_some() => EntryKind::HardLink,
        () if path.file_name().starts_with(".wh.") => EntryKind::Whiteout,
        () if path.file_name().contains(':') => EntryKind::Stream,
        () => EntryKind::File,
    };
    let size = if matches!(kind, EntryKind::File | EntryKind::Stream) { 1000 } else { 0 };
    Entry {
        kind,
        path,
        link: link.map(Box::from),
        start,
        data: start + 512,
        size,
        attributes: None,
        security: None,
        modified: 0,
        checksum: 0,
        head: None,
    }
}

fn layer(names: &[&str]) -> Arc<LayerIndex> {
    let mut entries: Vec<Entry> = Vec::new();
    for name in names {
        let start = entries.last().map_or(RawPosition::START, Entry::end);
        entries.push(entry(name, start));
    }
    let entries_end = entries.last().map_or(RawPosition::START, Entry::end);
    let length = u64::from(entries_end) + 1024;
    Arc::new(LayerIndex {
        digest: Digest::of(names.join("\n").as_bytes()),
        stored_size: length / 2,
        compression: Compression::Gzip,
        diff_id: Digest::of(b""),
        unpacked_size: length,
        entries_end,
        ends_in_zeros: true,
        remarks: Vec::new(),
        entries: entries.into(),
        security: Vec::new(),
        blocks: BlockMap::opaque(length, length / 2),
        registry: None,
    })
}

fn stack(layers: &[&[&str]]) -> LayerStack {
    LayerStack::new(layers.iter().map(|names| layer(names)).collect())
}

fn remove(id: &str, paths: &[&str]) -> RemoveRule {
    RemoveRule {
        profile: "test".to_owned(),
        id: id.to_owned(),
        paths: PatternSet::parse(paths).unwrap(),
        except: PatternSet::parse::<&str>(&[]).unwrap(),
        reason: "a test".to_owned(),
        price: None,
        required: false,
    }
}

fn rules(removes: Vec<RemoveRule>) -> RuleSet {
    RuleSet { removes: removes.into(), ..RuleSet::default() }
}

fn removing(paths: &[&str]) -> RuleSet {
    rules(vec![remove("rule", paths)])
}

/// What a plan does, one line for each entry that does not stay: `0 Files/a: removed`.
fn changes(stack: &LayerStack, plan: &Plan) -> Vec<String> {
    let name = |id: EntryId| format!("{} {}", id.layer, stack.entry(id).path);
    let mut lines = Vec::new();
    for (number, layer) in plan.layers.numbered() {
        for (at, action) in layer.actions.numbered() {
            let what = match action {
                Action::Keep => continue,
                Action::Remove(Cause::Rule(rule)) => format!("removed by {rule}"),
                Action::Remove(cause) => format!("removed, {cause:?}"),
                Action::Retarget(to) => format!("links to {}", name(*to)),
                Action::Promote(from) => format!("holds the data of {}", name(*from)),
            };
            lines.push(format!("{}: {what}", name(EntryId::new(number, at))));
        }
    }
    lines
}

fn planned(stack: &LayerStack, rules: &RuleSet) -> Vec<String> {
    changes(stack, &plan(stack, rules, &[]).unwrap())
}

const NOTHING: [&str; 0] = [];

#[test]
fn no_rule_changes_nothing() {
    let stack = stack(&[&["Files/", "Files/a", "Files/b -> Files/a"]]);
    let plan = plan(&stack, &RuleSet::default(), &[]).unwrap();
    assert!(plan.layers.iter().all(LayerPlan::is_untouched));
    assert_eq!(plan.layers[0.into()].summary.entries_after, 3);
}

#[test]
fn a_directory_goes_with_all_below_it_in_every_layer_and_case() {
    let stack = stack(&[
        &["Files/", "Files/Windows/", "Files/Windows/Temp/", "Files/Windows/Temp/a", "Files/Windows/Tempest"],
        &["Files/", "Hives/", "Files/windows/", "Files/windows/TEMP/", "Files/windows/TEMP/b"],
    ]);
    assert_eq!(
        planned(&stack, &removing(&["Windows\\Temp"])),
        [
            "0 Files/Windows/Temp: removed by 0",
            "0 Files/Windows/Temp/a: removed by 0",
            "1 Files/windows/TEMP: removed by 0",
            "1 Files/windows/TEMP/b: removed by 0",
        ],
    );
}

#[test]
fn a_directory_left_empty_stays_unless_a_rule_names_it() {
    let stack = stack(&[&["Files/", "Files/Logs/", "Files/Logs/a", "Files/Logs/b"]]);
    assert_eq!(
        planned(&stack, &removing(&["Logs\\**"])),
        ["0 Files/Logs/a: removed by 0", "0 Files/Logs/b: removed by 0"],
    );
}

#[test]
fn a_directory_stays_in_every_layer_with_what_is_kept_below_it() {
    let stack = stack(&[&["Files/", "Files/d/", "Files/d/gone"], &["Files/", "Hives/", "Files/d/", "Files/d/kept"]]);
    let mut rules = removing(&["d"]);
    rules.keeps.push(KeepRule {
        profile: "mine".to_owned(),
        paths: PatternSet::parse(&["d\\kept"]).unwrap(),
        reason: None,
        required: false,
    });
    let plan = plan(&stack, &rules, &[]).unwrap();
    assert_eq!(changes(&stack, &plan), ["0 Files/d/gone: removed by 0"]);
    assert_eq!(
        plan.kept,
        [Kept {
            path: "d\\kept".to_owned(),
            rule: 0.into(),
            reason: KeepReason::KeepRule { profile: "mine".to_owned() }
        }],
    );
}

#[test]
fn an_exception_counts_for_its_rule_and_all_below() {
    let stack = stack(&[&["Files/", "Files/d/", "Files/d/x/", "Files/d/x/y", "Files/d/z"]]);
    let mut rule = remove("one", &["d\\**"]);
    rule.except = PatternSet::parse(&["d\\x"]).unwrap();
    assert_eq!(planned(&stack, &rules(vec![rule.clone()])), ["0 Files/d/z: removed by 0"]);
    let both = rules(vec![rule, remove("two", &["**\\y"])]);
    assert_eq!(planned(&stack, &both), ["0 Files/d/x/y: removed by 1", "0 Files/d/z: removed by 0"]);
}

#[test]
fn what_is_protected_stays_and_is_named() {
    let stack = stack(&[&["Files/", "Files/License.txt", "Files/x"]]);
    let plan = plan(&stack, &removing(&["*"]), &[]).unwrap();
    assert_eq!(changes(&stack, &plan), ["0 Files/x: removed by 0"]);
    assert!(
        matches!(&plan.kept[..], [Kept { path, reason: KeepReason::Protected { .. }, .. }] if path == "License.txt")
    );
}

#[test]
fn the_first_surviving_name_takes_the_data() {
    let stack = stack(&[&[
        "Files/",
        "Files/WinSxS/",
        "Files/WinSxS/a",
        "Files/one -> Files/WinSxS/a",
        "Files/two -> Files/WinSxS/a",
        "Files/three -> Files/one",
    ]]);
    assert_eq!(
        planned(&stack, &removing(&["WinSxS"])),
        [
            "0 Files/WinSxS: removed by 0",
            "0 Files/WinSxS/a: removed by 0",
            "0 Files/one: holds the data of 0 Files/WinSxS/a",
            "0 Files/two: links to 0 Files/one",
        ],
        "a link to a link that stays is right as it is",
    );
}

#[test]
fn a_link_to_a_removed_link_points_to_the_holder() {
    let stack = stack(&[&["Files/", "Files/a", "Files/x -> Files/a", "Files/y -> Files/x"]]);
    assert_eq!(planned(&stack, &removing(&["x"])), ["0 Files/x: removed by 0", "0 Files/y: links to 0 Files/a"]);
}

#[test]
fn data_moves_up_when_only_upper_names_survive() {
    let stack = stack(&[
        &["Files/", "Files/d/", "Files/d/a"],
        &["Files/", "Hives/", "Files/x -> Files/D/A", "Files/y -> Files/d/a"],
    ]);
    assert_eq!(
        planned(&stack, &removing(&["d"])),
        [
            "0 Files/d: removed by 0",
            "0 Files/d/a: removed by 0",
            "1 Files/x: holds the data of 0 Files/d/a",
            "1 Files/y: links to 1 Files/x",
        ],
    );
}

#[test]
fn a_name_of_a_layer_between_is_no_target() {
    // The host would find the `one` of layer 1, which is another file.
    let stack = stack(&[
        &["Files/", "Files/d/", "Files/d/a", "Files/one -> Files/d/a"],
        &["Files/", "Hives/", "Files/one"],
        &["Files/", "Hives/", "Files/x -> Files/d/a"],
    ]);
    assert_eq!(
        planned(&stack, &removing(&["d"])),
        [
            "0 Files/d: removed by 0",
            "0 Files/d/a: removed by 0",
            "0 Files/one: holds the data of 0 Files/d/a",
            "2 Files/x: holds the data of 0 Files/d/a",
        ],
    );
}

#[test]
fn a_whiteout_goes_with_what_it_deletes_and_not_before() {
    let stack = stack(&[
        &["Files/", "Files/d/", "Files/d/a", "Files/d/License.txt", "Files/e/", "Files/e/f"],
        &["Files/", "Hives/", "Files/d/", "Files/d/.wh.a", "Files/e/", "Files/e/.wh.f", "Files/e/.wh.nothing"],
    ]);
    assert_eq!(
        planned(&stack, &removing(&["d\\a"])),
        ["0 Files/d/a: removed by 0", "1 Files/d/.wh.a: removed by 0"],
        "whiteouts that no rule concerns stay, even one that deletes nothing",
    );
    let mut keeping = removing(&["d"]);
    keeping.keeps.push(KeepRule {
        profile: "mine".to_owned(),
        paths: PatternSet::parse(&["d\\a"]).unwrap(),
        reason: None,
        required: false,
    });
    let lines = planned(&stack, &keeping);
    assert!(!lines.iter().any(|line| line.contains(".wh.a")), "the kept file would come back: {lines:?}");
}

#[test]
fn streams_go_with_their_file() {
    let stack = stack(&[&["Files/", "Files/a", "Files/a:s", "Files/b", "Files/b:s"]]);
    assert_eq!(planned(&stack, &removing(&["a"])), ["0 Files/a: removed by 0", "0 Files/a:s: removed by 0"]);
}

const VM: [&str; 6] = [
    "Files/",
    "UtilityVM/",
    "UtilityVM/Files/",
    "UtilityVM/Files/EFI/",
    "UtilityVM/Files/EFI/a",
    "UtilityVM/Files/License.txt",
];

#[test]
fn the_utility_vm_goes_as_a_whole_from_every_layer() {
    let stack = stack(&[&VM, &["Files/", "Hives/", "UtilityVM/", "UtilityVM/Files/", "UtilityVM/Files/.wh.x"]]);
    let plan = plan(&stack, &removing(&["UtilityVM:\\"]), &[]).unwrap();
    assert_eq!(changes(&stack, &plan).len(), 5 + 3);
    assert_eq!(plan.layers[1.into()].summary.entries_after, 2);
}

#[test]
fn the_utility_vm_stays_as_a_whole_when_a_part_is_kept() {
    let stack = stack(&[&VM]);
    let mut rules = removing(&["UtilityVM:\\"]);
    rules.keeps.push(KeepRule {
        profile: "mine".to_owned(),
        paths: PatternSet::parse(&["UtilityVM:\\EFI"]).unwrap(),
        reason: None,
        required: false,
    });
    let plan = plan(&stack, &rules, &[]).unwrap();
    assert_eq!(changes(&stack, &plan), NOTHING);
    assert_eq!(plan.kept[0].reason, KeepReason::UtilityVm);
    assert_eq!(plan.warnings.len(), 1);
}

#[test]
fn shadowed_names_go_only_when_asked_and_links_to_them_keep_their_data() {
    let layers: [&[&str]; 2] = [
        &["Files/", "Files/d/", "Files/d/a", "Files/w", "Files/l -> Files/d/a", "Files/License.txt"],
        &["Files/", "Hives/", "Files/D/", "Files/D/A", "Files/.wh.w", "Files/License.txt"],
    ];
    let stack = stack(&layers);
    let mut rules = RuleSet::default();
    assert_eq!(planned(&stack, &rules), NOTHING);
    rules.shadowed = Shadowed::Drop;
    let plan = plan(&stack, &rules, &[]).unwrap();
    assert_eq!(
        changes(&stack, &plan),
        [
            "0 Files/d/a: removed, Shadowed",
            "0 Files/w: removed, Shadowed",
            "0 Files/l: holds the data of 0 Files/d/a",
            "1 Files/.wh.w: removed, Whiteout",
        ],
        "the licence stays in both layers",
    );
    let outcome = &plan.rules[0];
    assert_eq!((outcome.entries, outcome.kept_by_links, outcome.unpacked), (3, 1, 1000));
}

#[test]
fn what_a_deleted_directory_holds_is_shadowed_too() {
    let stack = stack(&[&["Files/", "Files/d/", "Files/d/e/", "Files/d/e/f"], &["Files/", "Hives/", "Files/.wh.d"]]);
    let rules = RuleSet { shadowed: Shadowed::Drop, ..RuleSet::default() };
    assert_eq!(
        planned(&stack, &rules),
        [
            "0 Files/d: removed, Shadowed",
            "0 Files/d/e: removed, Shadowed",
            "0 Files/d/e/f: removed, Shadowed",
            "1 Files/.wh.d: removed, Whiteout",
        ],
    );
}

#[test]
fn bytes_are_freed_by_the_rule_that_removes_the_last_name() {
    let stack = stack(&[&["Files/", "Files/a", "Files/b -> Files/a", "Files/c -> Files/a", "Files/d"]]);
    let one = plan(&stack, &rules(vec![remove("a", &["a"])]), &[]).unwrap();
    assert_eq!((one.rules[0].entries, one.rules[0].unpacked, one.rules[0].kept_by_links), (1, 0, 1));
    let all = plan(&stack, &rules(vec![remove("a", &["a", "d"]), remove("bc", &["b", "c"])]), &[]).unwrap();
    assert_eq!(all.rules.iter().map(|rule| rule.unpacked).collect::<Vec<_>>(), [1000, 1000]);
    assert_eq!(all.layers[0.into()].summary.unpacked_after, 0);
    let freed: u64 = all.rules.iter().map(|rule| rule.compressed).sum();
    assert_eq!(freed, all.layers[0.into()].summary.compressed_before - all.layers[0.into()].summary.compressed_after);
}

#[test]
fn a_rule_without_match_is_told_and_a_required_one_is_an_error() {
    let stack = stack(&[&["Files/", "Files/a"]]);
    let mut rule = remove("r", &["a", "nothing"]);
    rule.required = true;
    let found = plan(&stack, &rules(vec![rule.clone()]), &[]).unwrap();
    assert_eq!(found.rules[0].without_match, ["nothing"]);
    rule.paths = PatternSet::parse(&["nothing", "neither"]).unwrap();
    let error = plan(&stack, &rules(vec![rule]), &[]).unwrap_err();
    assert_eq!(error, PlanError::RequiredMatchedNothing(vec!["rule `test/r` (`nothing`, `neither`)".to_owned()]));
}

#[test]
fn a_layer_that_may_not_take_data_leaves_it_where_it_is() {
    let stack = stack(&[
        &["Files/", "Files/d/", "Files/d/a", "Files/d/b", "Files/z"],
        &["Files/", "Hives/", "Files/x -> Files/d/a", "Files/z"],
    ]);
    let limits = [LayerLimit::Free, LayerLimit::NoPromotion];
    let plan = plan(&stack, &removing(&["d", "z"]), &limits).unwrap();
    assert_eq!(
        changes(&stack, &plan),
        ["0 Files/d/b: removed by 0", "0 Files/z: removed by 0", "1 Files/z: removed by 0"],
    );
    assert_eq!(plan.kept[0].reason, KeepReason::Growth { layer: 1.into() });
}

#[test]
fn a_layer_that_stays_as_it_is_keeps_its_names_in_all_layers() {
    let stack = stack(&[
        &["Files/", "Files/d/", "Files/d/a", "Files/d/b", "Files/w", "Files/v"],
        &["Files/", "Hives/", "Files/x -> Files/d/a", "Files/d/", "Files/d/b", "Files/.wh.w"],
    ]);
    let mut rules = removing(&["d", "x", "w", "v"]);
    rules.shadowed = Shadowed::Drop;
    let plan = plan(&stack, &rules, &[LayerLimit::Free, LayerLimit::Untouched]).unwrap();
    assert!(plan.layers[1.into()].is_untouched());
    assert_eq!(changes(&stack, &plan), ["0 Files/w: removed by 0", "0 Files/v: removed by 0"]);
}

#[test]
fn a_base_layer_that_stays_as_it_is_keeps_the_whiteouts_above_it() {
    let stack = stack(&[&["Files/", "Files/w", "Files/v"], &["Files/", "Hives/", "Files/.wh.w", "Files/u"]]);
    let plan = plan(&stack, &removing(&["w", "v", "u"]), &[LayerLimit::Untouched, LayerLimit::Free]).unwrap();
    assert_eq!(changes(&stack, &plan), ["1 Files/u: removed by 0"]);
}

#[test]
fn what_is_set_aside_is_told_for_each_layer() {
    let stack = stack(&[
        &["Files/", "Files/d/", "Files/d/a", "Files/d/b", "Files/z -> Files/d/b"],
        &["Files/", "Hives/", "Files/x -> Files/d/a"],
    ]);
    let plan = plan(&stack, &removing(&["d"]), &[]).unwrap();
    let outputs = plan.outputs();
    let sources = |layer: u32| set_aside(&outputs, layer.into()).into_iter().map(u32::from).collect::<Vec<u32>>();
    assert_eq!([0, 1].map(sources), [vec![2, 3], vec![]]);
    assert!(plan.takes_from_below(1.into()) && !plan.takes_from_below(0.into()));
}

#[test]
fn a_layer_that_takes_more_over_than_it_loses_may_grow() {
    let upper = &["Files/", "Hives/", "Files/x -> Files/d/a"];
    let stack = stack(&[&["Files/", "Files/d/", "Files/d/a", "Files/y"], upper]);
    let may_grow = |removed: &[&str]| {
        let plan = plan(&stack, &removing(removed), &[]).unwrap();
        [plan.layers[0.into()].may_grow(), plan.layers[1.into()].may_grow()]
    };
    assert_eq!(may_grow(&["d"]), [false, true]);
    assert_eq!(may_grow(&["y"]), [false, false], "the upper layer stays as it is");
    assert_eq!(may_grow(&["d", "x"]), [false, false]);
}

/// For each surviving name of each layer: the file that a host would find there, told by its first holder.
fn contents(
    layers: &PerLayer<NumberedVec<EntryNumber, Entry>>,
    told: &dyn Fn(LayerNumber, &Entry) -> EntryId,
) -> BTreeMap<(LayerNumber, String), Option<EntryId>> {
    let indexes: Vec<LayerIndex> =
        layers.iter().map(|entries| LayerIndex { entries: entries.clone(), ..(*layer(&[])).clone() }).collect();
    let stack = LayerStack::new(indexes.into_iter().map(Arc::new).collect());
    let mut found = BTreeMap::new();
    for (number, entries) in layers.numbered() {
        for (at, entry) in entries.numbered() {
            let id = EntryId::new(number, at);
            let holder = match entry.kind {
                EntryKind::File => Some(id),
                EntryKind::HardLink => stack.links().group_of(id).map(|group| group.holder),
                _ => continue,
            };
            let file = holder.map(|holder| told(holder.layer, stack.entry(holder)));
            found.insert((number, entry.path.as_str().to_owned()), file);
        }
    }
    found
}

/// Where the data of an entry of the result came from, by its layer and its position in that.
type Origins = BTreeMap<(LayerNumber, RawPosition), EntryId>;

/// The entries of the result, each with the entry that its data came from in its position.
fn carried_out(stack: &LayerStack, plan: &Plan) -> (PerLayer<NumberedVec<EntryNumber, Entry>>, Origins) {
    let mut layers = PerLayer::new();
    let mut origins = BTreeMap::new();
    for (number, layer) in plan.layers.numbered() {
        let mut entries = NumberedVec::new();
        for (at, action) in layer.actions.numbered() {
            let id = EntryId::new(number, at);
            let mut entry = stack.entry(id).clone();
            match action {
                Action::Remove(_) => continue,
                Action::Keep => drop(origins.insert((number, entry.start), id)),
                Action::Retarget(to) => entry.link = Some(stack.entry(*to).path.as_str().into()),
                Action::Promote(from) => {
                    entry.kind = EntryKind::File;
                    entry.link = None;
                    origins.insert((number, entry.start), *from);
                }
            }
            entries.push(entry);
        }
        layers.push(entries);
    }
    (layers, origins)
}

/// A layer of files and links below three directories; links lead to any name, of any layer, in any case.
fn any_layer() -> impl Strategy<Value = Vec<String>> {
    let names = vec!["a", "b", "c", "d"];
    let item = ("[xyz]", subsequence(names, 1), prop::option::of(("[xyzXYZ]", "[a-d]")), any::<bool>());
    prop::collection::vec(item, 0..10).prop_map(|items| {
        let mut lines: Vec<String> = ["Files/", "Files/x/", "Files/y/", "Files/z/"].map(str::to_owned).to_vec();
        let mut seen = std::collections::BTreeSet::new();
        for (directory, name, link, whiteout) in items {
            let path = format!("Files/{directory}/{}", name[0]);
            if !seen.insert(path.clone()) {
                continue;
            }
            lines.push(match link {
                Some((directory, name)) => format!("{path} -> Files/{directory}/{name}"),
                None if whiteout => format!("Files/{directory}/.wh.{}", name[0]),
                None => path,
            });
        }
        lines
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Whatever is removed: every name that stays leads to the same file as before.
    #[test]
    fn every_surviving_name_leads_to_the_same_file(
        texts in prop::collection::vec(any_layer(), 1..4),
        gone in prop::collection::vec(r"[xyz](\\[a-d])?", 0..4),
        drop_shadowed in any::<bool>(),
        limits in prop::collection::vec(0..3_u8, 3),
    ) {
        let texts: Vec<Vec<&str>> = texts.iter().map(|layer| layer.iter().map(String::as_str).collect()).collect();
        let stack = stack(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let patterns: Vec<&str> = gone.iter().map(String::as_str).collect();
        let mut rules = removing(&patterns);
        if drop_shadowed {
            rules.shadowed = Shadowed::Drop;
        }
        let limits: Vec<LayerLimit> = limits
            .iter()
            .take(texts.len())
            .map(|limit| [LayerLimit::Free, LayerLimit::NoPromotion, LayerLimit::Untouched][usize::from(*limit)])
            .collect();
        let plan = plan(&stack, &rules, &limits).unwrap();
        for (layer, limit) in plan.layers.iter().zip(&limits) {
            prop_assert!(*limit != LayerLimit::Untouched || layer.is_untouched());
        }
        let (after, origins) = carried_out(&stack, &plan);
        let before: PerLayer<_> = stack.layers().iter().map(|layer| layer.entries.clone()).collect();
        let by_start = |number: LayerNumber, entry: &Entry| {
            let mut entries = stack.layers()[number].entries.numbered();
            EntryId::new(number, entries.find(|(_, other)| other.start == entry.start).unwrap().0)
        };
        let was = contents(&before, &by_start);
        let is = contents(&after, &|number, entry| origins[&(number, entry.start)]);
        // An image with links that lead nowhere is refused before it is planned; here they are only not to be made.
        for (name, file) in is.iter().filter(|(name, _)| was[*name].is_some()) {
            prop_assert_eq!(file, &was[name], "{:?}", name);
        }
    }
}
