//! What rules free, and what would come back without one of them.

use super::*;

fn freed(plan: &Plan) -> Vec<i64> {
    plan.rules.iter().map(|rule| rule.unpacked).collect()
}

fn alone(plan: &Plan) -> Vec<i64> {
    plan.rules.iter().map(|rule| rule.alone).collect()
}

fn unpacked(plan: &Plan) -> (i64, i64) {
    let sum = |size: fn(&LayerSummary) -> u64| {
        plan.layers.iter().map(|layer| i64::try_from(size(&layer.summary)).unwrap()).sum()
    };
    (sum(|layer| layer.unpacked_before), sum(|layer| layer.unpacked_after))
}

#[test]
fn streams_that_move_with_their_file_are_not_freed() {
    let stack =
        stack(&[&["Files/"], &["Files/", "Hives/", "Files/g/", "Files/g/H", "Files/g/H:ads", "Files/a -> Files/g/H"]]);
    let plan = plan(&stack, &removing(&["g"]), &[]).unwrap();
    assert_eq!(freed(&plan), [0]);
    assert_eq!(unpacked(&plan), (2000, 2000));
    assert_eq!(plan.layers[1.into()].summary.entries_after, 4);
}

#[test]
fn only_superseded_files_are_credited_to_what_drops_them() {
    // One name goes by the rule, and one is superseded: its bytes are the rule's.
    let stack = stack(&[
        &["Files/", "Files/w/", "Files/w/a", "Files/s -> Files/w/a", "Files/t"],
        &["Files/", "Hives/", "Files/s", "Files/t"],
    ]);
    let mut rules = removing(&["w"]);
    rules.shadowed = Shadowed::Drop;
    let plan = plan(&stack, &rules, &[]).unwrap();
    assert_eq!(plan.rules[1].rule, savings_name());
    assert_eq!(freed(&plan), [1000, 1000]);
    assert_eq!(alone(&plan), [1000, 2000], "the linked file comes back without either");
}

fn savings_name() -> &'static str {
    super::super::savings::SHADOWED
}

#[test]
fn bytes_that_two_rules_remove_come_back_without_neither() {
    let stack = stack(&[&["Files/", "Files/a", "Files/b", "Files/c", "Files/l -> Files/c"]]);
    let rules = rules(vec![remove("ab", &["a", "b", "c"]), remove("bc", &["b", "l"])]);
    let plan = plan(&stack, &rules, &[]).unwrap();
    assert_eq!(freed(&plan), [2000, 1000]);
    assert_eq!(alone(&plan), [2000, 1000], "`c` comes back without either, `a` without the first");
}

#[test]
fn the_whole_utility_vm_comes_back_without_its_rule_but_for_what_another_one_removes() {
    let stack = stack(&[&VM]);
    let both = rules(vec![remove("vm", &["UtilityVM:\\"]), remove("licence", &["UtilityVM:\\*.txt"])]);
    let plan = plan(&stack, &both, &[]).unwrap();
    assert_eq!(freed(&plan), [2000, 0]);
    assert_eq!(alone(&plan), [1000, 0]);
}

#[test]
fn data_that_has_to_be_there_twice_is_charged_to_who_moves_it() {
    // Nobody finds the base's `one` from the top layer, because the layer between has another one.
    let stack = stack(&[
        &["Files/", "Files/d/", "Files/d/a", "Files/one -> Files/d/a"],
        &["Files/", "Hives/", "Files/one"],
        &["Files/", "Hives/", "Files/x -> Files/d/a"],
    ]);
    let plan = plan(&stack, &removing(&["d"]), &[]).unwrap();
    assert_eq!((freed(&plan), alone(&plan), unpacked(&plan)), (vec![-1000], vec![-1000], (2000, 3000)));
}

#[test]
fn a_stream_of_a_directory_comes_back_with_what_lies_in_it() {
    let stack = stack(&[&["Files/", "Files/d/", "Files/d:s", "Files/d/a", "Files/d/b"]]);
    let three = rules(vec![remove("d", &["d"]), remove("a", &["d\\a"]), remove("all", &["d", "d\\b"])]);
    let plan = plan(&stack, &three, &[]).unwrap();
    assert_eq!(alone(&plan), [0, 0, 0]);
    let two = rules(vec![remove("a", &["d\\a"]), remove("d", &["d"])]);
    let plan = super::super::plan(&stack, &two, &[]).unwrap();
    assert_eq!(freed(&plan), [1000, 2000]);
    assert_eq!(alone(&plan), [0, 2000], "`a` goes with its directory all the same");
}

/// Layers with links, whiteouts, streams and directories.
fn image() -> impl Strategy<Value = Vec<Vec<String>>> {
    let with_streams = any_layer().prop_flat_map(|lines| {
        let flags = prop::collection::vec(prop::bool::weighted(0.3), lines.len());
        (Just(lines), flags).prop_map(|(lines, flags)| {
            let mut result = Vec::new();
            for (line, flag) in lines.into_iter().zip(flags) {
                let is_file = !line.contains(" -> ") && !line.contains(".wh.") && line.matches('/').count() == 2;
                let stream = (flag && is_file).then(|| format!("{}:s", line.trim_end_matches('/')));
                result.push(line);
                result.extend(stream);
            }
            result
        })
    });
    prop::collection::vec(with_streams, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every byte is credited once, and each rule's own number is what a plan without it leaves more.
    #[test]
    fn savings_add_up_and_come_back(
        image in image(),
        gone in prop::collection::vec((prop::collection::vec(r"[xyz](\\[a-d])?", 1..3), prop::option::of(r"[xyz]\\[a-d]")), 0..5),
        kept in prop::option::of(r"[xyz](\\[a-d])?"),
        drop_shadowed in any::<bool>(),
    ) {
        let lists: Vec<Vec<&str>> = image.iter().map(|layer| layer.iter().map(String::as_str).collect()).collect();
        let stack = stack(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let removes = gone.iter().enumerate().map(|(number, (paths, except))| {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let mut rule = remove(&number.to_string(), &paths);
            rule.except = PatternSet::parse(&except.iter().collect::<Vec<_>>()).unwrap();
            rule
        });
        let mut rules = rules(removes.collect());
        rules.shadowed = if drop_shadowed { Shadowed::Drop } else { Shadowed::Keep };
        rules.keeps.extend(kept.map(|path| KeepRule {
            profile: "mine".to_owned(),
            paths: PatternSet::parse(&[path]).unwrap(),
            reason: None,
            required: false,
        }));
        let plan = plan(&stack, &rules, &[]).unwrap();
        let (before, after) = unpacked(&plan);
        prop_assert_eq!(freed(&plan).iter().sum::<i64>(), before - after);
        let numbers = rules.removes.numbers().map(Some).chain([None]);
        for (number, outcome) in numbers.zip(&plan.rules) {
            let mut without = rules.clone();
            match number {
                Some(left_out) => {
                    let others = rules.removes.numbered().filter(|(number, _)| *number != left_out);
                    without.removes = others.map(|(_, rule)| rule.clone()).collect();
                }
                None => without.shadowed = Shadowed::Keep,
            }
            let (_, more) = unpacked(&super::super::plan(&stack, &without, &[]).unwrap());
            prop_assert_eq!(outcome.alone, more - after, "{}: {:?}", outcome.rule, image);
        }
    }
}
