//! Random plans against an oracle that shares no code with them: it imports the layers as a Windows host does, name by name,
//! before and after, and knows from the rules alone what has to be different.

use std::collections::BTreeSet;

use super::*;
use crate::numbered::Number;

/// Numbers that look random and are the same each time (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let place = self.roll(all.len());
        &all[place]
    }
}

/// An entry as a host sees it; a file's data is told by where it was in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Directory,
    File(Data),
    Link(String),
    Whiteout,
    Stream(Data),
}

type Data = (usize, usize);

/// A file: its data, and that of its alternate data streams.
type File = (Data, Vec<Data>);

type Layers = Vec<Vec<(String, What)>>;

const DIRECTORIES: [&str; 5] = ["sxs/c1", "sxs/c2", "sys", "sys/drv", "app"];

/// An image of a base layer and a servicing layer, with a UtilityVM. Most files have a name in the component store and one
/// elsewhere; `walked` is the order of a walk, in which the holder is the first name by the alphabet.
fn image(seed: u64, walked: bool) -> Vec<Vec<String>> {
    let mut dice = Dice(seed);
    let directories = |tree: &str| {
        let mut lines = vec![format!("{tree}/"), format!("{tree}/sxs/")];
        lines.extend(DIRECTORIES.map(|directory| format!("{tree}/{directory}/")));
        lines
    };
    let mut base: Vec<Vec<String>> = Vec::new();
    for number in 0..60 {
        let mut names: BTreeSet<String> = BTreeSet::new();
        for _ in 0..=dice.roll(4) {
            let tree = *dice.one_of(&["Files", "Files", "Files", "UtilityVM/Files"]);
            names.insert(format!("{tree}/{}/f{number}.d", dice.one_of(&DIRECTORIES)));
        }
        let mut names: Vec<String> = names.into_iter().collect();
        if !walked {
            let last = dice.roll(names.len());
            names.swap(0, last);
        }
        // No link leads from `Files` into the UtilityVM.
        names.sort_by_key(|name| name.starts_with("UtilityVM"));
        base.push(names);
    }
    let mut lines = directories("Files");
    let mut vm = vec!["UtilityVM/".to_owned()];
    vm.extend(directories("UtilityVM/Files"));
    for names in &base {
        let into = |name: &String| name.starts_with("UtilityVM");
        for (place, name) in names.iter().enumerate() {
            let list = if into(name) { &mut vm } else { &mut lines };
            match place {
                0 => {
                    list.push(name.clone());
                    list.extend((dice.roll(4) == 0).then(|| format!("{name}:s")));
                }
                _ => list.push(format!("{name} -> {}", names[dice.roll(place)])),
            }
        }
    }
    lines.extend(vm);
    let mut upper = directories("Files");
    upper.push("Hives/".to_owned());
    let mut taken = BTreeSet::new();
    for number in 0..40 {
        let names = dice.one_of(&base).clone();
        let old = dice.one_of(&names).clone();
        let (tree, new) = ("Files", format!("Files/{}/u{number}.d", dice.one_of(&DIRECTORIES)));
        if !old.starts_with(tree) {
            continue;
        }
        match dice.roll(5) {
            0 if taken.insert(old.clone()) => upper.push(old),
            1 if taken.insert(old.clone()) => {
                let (directory, name) = old.rsplit_once('/').unwrap();
                upper.push(format!("{directory}/.wh.{name}"));
            }
            2 => upper.push(format!("{new} -> {}", old.to_uppercase().replacen("FILES", "Files", 1))),
            3 => {
                upper.push(new.clone());
                upper.push(format!("Files/app/v{number}.d -> {new}"));
            }
            _ => upper.push(format!("{new} -> {old}")),
        }
    }
    if dice.roll(2) == 0 {
        upper.extend(["UtilityVM/".to_owned(), "UtilityVM/Files/".to_owned(), "UtilityVM/Files/new".to_owned()]);
    }
    vec![lines, upper]
}

fn before(stack: &LayerStack) -> Layers {
    let of_layer = |(number, layer): (usize, &Arc<LayerIndex>)| {
        let of_entry = |(at, entry): (usize, &Entry)| {
            let what = match entry.kind {
                EntryKind::Directory => What::Directory,
                EntryKind::HardLink => What::Link(entry.link.as_deref().unwrap().to_owned()),
                EntryKind::Whiteout => What::Whiteout,
                EntryKind::Stream => What::Stream((number, at)),
                _ => What::File((number, at)),
            };
            (entry.path.as_str().to_owned(), what)
        };
        layer.entries.iter().enumerate().map(of_entry).collect()
    };
    stack.layers().iter().enumerate().map(of_layer).collect()
}

/// The layers that the plan makes, entry by entry.
fn after(before: &Layers, plan: &Plan) -> Layers {
    let mut layers = Layers::new();
    for (number, layer) in plan.layers.iter().enumerate() {
        let mut entries = Vec::new();
        for (at, action) in layer.actions.iter().enumerate() {
            let (name, what) = before[number][at].clone();
            match action {
                Action::Keep => entries.push((name, what)),
                Action::Remove(_) => {}
                Action::Retarget(to) => {
                    entries.push((name, What::Link(before[to.layer.place()][to.entry.place()].0.clone())));
                }
                Action::Promote(from) => {
                    let (layer, mut at) = (from.layer.place(), from.entry.place());
                    entries.push((name.clone(), What::File((layer, at))));
                    while let Some((stream, What::Stream(data))) = before[layer].get(at + 1) {
                        let (_, stream) = stream.rsplit_once(':').unwrap();
                        entries.push((format!("{name}:{stream}"), What::Stream(*data)));
                        at += 1;
                    }
                }
            }
        }
        layers.push(entries);
    }
    layers
}

fn fold(name: &str) -> String {
    name.to_uppercase()
}

/// The file behind each name of each layer, as the host links them (hcsshim `baselayerwriter.go`, `legacy.go`).
fn files(layers: &Layers) -> Vec<BTreeMap<String, File>> {
    let mut found: Vec<BTreeMap<String, File>> = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let mut names: BTreeMap<String, File> = BTreeMap::new();
        let mut spelled: BTreeSet<&str> = BTreeSet::new();
        let mut has_vm = false;
        for (at, (name, what)) in layer.iter().enumerate() {
            match what {
                What::File(data) => {
                    let streams = layer[at + 1..].iter().map_while(|(_, what)| match what {
                        What::Stream(data) => Some(*data),
                        _ => None,
                    });
                    names.insert(fold(name), (*data, streams.collect()));
                }
                What::Link(target) => {
                    let here = number == 0 || spelled.contains(target.as_str());
                    let in_vm = target.starts_with("UtilityVM");
                    let below = || found.iter().rev().find_map(|below| below.get(&fold(target)));
                    let file = match here {
                        true => names.get(&fold(target)),
                        false if in_vm && !has_vm => None,
                        false => below(),
                    };
                    let file = file.unwrap_or_else(|| panic!("no target for `{name}` -> `{target}`")).clone();
                    names.insert(fold(name), file);
                }
                What::Directory => has_vm |= name == "UtilityVM",
                What::Whiteout | What::Stream(_) => {}
            }
            spelled.insert(name);
        }
        found.push(names);
    }
    found
}

fn deleted(name: &str) -> String {
    fold(&name.replacen(".wh.", "", 1))
}

/// What a container sees: names with the files behind them.
fn visible(layers: &Layers) -> BTreeMap<String, File> {
    let mut seen: BTreeMap<String, File> = BTreeMap::new();
    for (layer, files) in layers.iter().zip(files(layers)) {
        for (name, what) in layer {
            if *what == What::Whiteout {
                let name = deleted(name);
                seen.retain(|known, _| *known != name && !known.starts_with(&format!("{name}/")));
            }
        }
        seen.extend(files);
    }
    seen
}

/// Whether a pattern of `**`, `*` and plain components fits a folded name.
fn fits(pattern: &[&str], name: &[&str]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ["**"] => !name.is_empty(),
        ["**", rest @ ..] => (0..=name.len()).any(|skipped| fits(rest, &name[skipped..])),
        [first, rest @ ..] => {
            let matches = |name: &str| match first.split_once('*') {
                None => fold(first) == name,
                Some((start, end)) => {
                    name.len() >= start.len() + end.len()
                        && name.starts_with(&fold(start))
                        && name.ends_with(&fold(end))
                }
            };
            name.split_first().is_some_and(|(one, others)| matches(one) && fits(rest, others))
        }
    }
}

/// Whether one of the patterns names this or a directory above it.
fn concerns(patterns: &[String], folded: &str) -> bool {
    let components: Vec<&str> = folded.split('/').collect();
    let above = (1..=components.len()).map(|length| &components[..length]);
    patterns.iter().any(|pattern| match pattern.strip_prefix("UtilityVM:\\") {
        Some("") => components[0] == "UTILITYVM",
        Some(rest) => {
            let pattern: Vec<&str> = ["UTILITYVM", "FILES"].into_iter().chain(rest.split('\\')).collect();
            above.clone().any(|name| fits(&pattern, name))
        }
        None => {
            let pattern: Vec<&str> = ["FILES"].into_iter().chain(pattern.split('\\')).collect();
            above.clone().any(|name| fits(&pattern, name))
        }
    })
}

struct Wanted {
    removes: Vec<(Vec<String>, Vec<String>)>,
    keeps: Vec<String>,
    superseded: bool,
}

impl Wanted {
    fn random(dice: &mut Dice) -> Wanted {
        let mut pattern = || {
            let directory = dice.one_of(&DIRECTORIES).replace('/', "\\");
            let number = dice.roll(60);
            match dice.roll(8) {
                0 => directory,
                1 => format!("{directory}\\**"),
                2 => format!("**\\f{number}.d"),
                3 => format!("**\\f{}*", number % 10),
                4 => format!("sxs\\*\\*{}.d", number % 10),
                5 => format!("{directory}\\u*"),
                6 => format!("UtilityVM:\\{directory}"),
                _ => format!("{directory}\\f{number}.d"),
            }
        };
        let mut some = |most: usize, extra: usize| -> Vec<String> { (0..extra + most).map(|_| pattern()).collect() };
        let mut removes: Vec<(Vec<String>, Vec<String>)> = (0..4).map(|_| (some(1, 1), some(1, 0))).collect();
        let keeps = some(1, 0);
        if dice.roll(3) > 0 {
            removes.iter_mut().step_by(2).for_each(|(_, except)| except.clear());
        }
        if dice.roll(6) == 0 {
            removes.push((vec!["UtilityVM:\\".to_owned()], Vec::new()));
        }
        let keeps = if dice.roll(2) == 0 { keeps } else { Vec::new() };
        Wanted { removes, keeps, superseded: dice.roll(2) == 0 }
    }

    fn rules(&self) -> RuleSet {
        let rule = |(number, (paths, except)): (usize, &(Vec<String>, Vec<String>))| RemoveRule {
            paths: PatternSet::parse(paths).unwrap(),
            except: PatternSet::parse(except).unwrap(),
            ..remove(&number.to_string(), &[])
        };
        let keep = KeepRule {
            profile: "mine".to_owned(),
            paths: PatternSet::parse(&self.keeps).unwrap(),
            reason: None,
            required: false,
        };
        RuleSet {
            removes: self.removes.iter().enumerate().map(rule).collect(),
            keeps: vec![keep].into(),
            shadowed: if self.superseded { Shadowed::Drop } else { Shadowed::Keep },
            ..RuleSet::default()
        }
    }

    /// Whether the rules remove a name, for themselves.
    fn names(&self, folded: &str) -> bool {
        let by = |(paths, except): &(Vec<String>, Vec<String>)| concerns(paths, folded) && !concerns(except, folded);
        self.removes.iter().any(by)
    }

    /// The names that go, the UtilityVM considered as a whole.
    fn gone(&self, layers: &Layers) -> BTreeSet<String> {
        let names: BTreeSet<String> = layers
            .iter()
            .flatten()
            .map(|(name, what)| if *what == What::Whiteout { deleted(name) } else { fold(name) })
            .collect();
        let in_vm = |name: &str| name == "UTILITYVM" || name.starts_with("UTILITYVM/");
        let kept = |name: &str| concerns(&self.keeps, name);
        let whole = self.names("UTILITYVM");
        let stays = whole && names.iter().any(|name| in_vm(name) && kept(name));
        let goes = |name: &String| match in_vm(name) && whole {
            true => !stays,
            false => self.names(name) && !kept(name),
        };
        names.iter().filter(|name| goes(name)).cloned().collect()
    }
}

/// Whether a layer above replaces or deletes a name.
fn is_superseded(layers: &Layers, number: usize, folded: &str) -> bool {
    folded.starts_with("FILES/")
        && layers[number + 1..].iter().flatten().any(|(name, what)| match what {
            What::Directory | What::Stream(_) => false,
            What::Whiteout => {
                let name = deleted(name);
                folded == name || folded.starts_with(&format!("{name}/"))
            }
            What::File(_) | What::Link(_) => fold(name) == folded,
        })
}

fn bytes(layers: &Layers) -> i64 {
    let files = layers.iter().flatten().filter(|(_, what)| matches!(what, What::File(_) | What::Stream(_)));
    files.map(|_| 1000).sum()
}

#[test]
fn random_plans_make_what_hosts_read_as_the_rules_say() {
    let mut changed = 0;
    for (seed, walked) in [(7, false), (7, true), (11, false), (11, true)] {
        let image = image(seed, walked);
        let lists: Vec<Vec<&str>> = image.iter().map(|layer| layer.iter().map(String::as_str).collect()).collect();
        let stack = stack(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let source = before(&stack);
        let (files_before, visible_before) = (files(&source), visible(&source));
        let mut dice = Dice(seed * 1000 + u64::from(walked));
        for round in 0..100 {
            let wanted = Wanted::random(&mut dice);
            let told = || {
                format!("image {seed} (walked: {walked}), round {round}: {:?}, keep {:?}", wanted.removes, wanted.keeps)
            };
            let plan = plan(&stack, &wanted.rules(), &[]).unwrap();
            let result = after(&source, &plan);
            let gone = wanted.gone(&source);
            changed += gone.len();

            // Every name of every layer: there or not, and with the same file behind it.
            for (number, (had, has)) in files_before.iter().zip(files(&result)).enumerate() {
                let stays = |name: &String| {
                    !(gone.contains(name) || (wanted.superseded && is_superseded(&source, number, name)))
                };
                let expected: BTreeMap<_, _> = had.iter().filter(|(name, _)| stays(name)).collect();
                assert_eq!(has.iter().collect::<BTreeMap<_, _>>(), expected, "layer {number}, {}", told());
            }
            // What containers see: nothing that was deleted comes back.
            let expected: BTreeMap<_, _> = visible_before.iter().filter(|(name, _)| !gone.contains(*name)).collect();
            assert_eq!(visible(&result).iter().collect::<BTreeMap<_, _>>(), expected, "{}", told());
            // Directories stay where no rule takes them, or where something lies in them, in each layer that has them.
            let left: BTreeSet<String> = result
                .iter()
                .flatten()
                .map(|(name, what)| match what {
                    What::Whiteout => deleted(name),
                    _ => fold(name),
                })
                .collect();
            for (name, _) in source.iter().flatten().filter(|(_, what)| *what == What::Directory) {
                let folded = fold(name);
                let holds = left.iter().any(|other| other.starts_with(&format!("{folded}/")));
                assert!(left.contains(&folded) == (holds || !gone.contains(&folded)), "{name}, {}", told());
            }
            // Bytes.
            let freed: i64 = plan.rules.iter().map(|rule| rule.unpacked).sum();
            assert_eq!(freed, bytes(&source) - bytes(&result), "{}", told());
            let after: u64 = plan.layers.iter().map(|layer| layer.summary.unpacked_after).sum();
            assert_eq!(i64::try_from(after).unwrap(), bytes(&result), "{}", told());
        }
    }
    assert!(changed > 4000, "the plans hardly change anything: {changed} names");
}
