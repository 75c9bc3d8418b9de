//! Many rules, many patterns, many links: numbers never wrap, and nothing takes more than its share of time.

use std::time::{Duration, Instant};

use super::*;

/// Patterns that match nothing.
fn nothing(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("nothing\\{number}")).collect()
}

fn keep(paths: &[&str]) -> KeepRule {
    KeepRule { profile: "mine".to_owned(), paths: PatternSet::parse(paths).unwrap(), reason: None, required: false }
}

#[test]
fn a_keep_rule_keeps_behind_any_number_of_patterns() {
    let stack = stack(&[&["Files/", "Files/Windows/", "Files/Windows/a", "Files/Windows/b", "Files/x"]]);
    for count in [65_535, 65_536] {
        let mut patterns = nothing(count);
        patterns.push("Windows".to_owned());
        patterns.push("x".to_owned());
        let mut rules = removing(&patterns.iter().map(String::as_str).collect::<Vec<_>>());
        rules.keeps.push(keep(&["Windows/**"]));
        assert_eq!(planned(&stack, &rules), ["0 Files/x: removed by 0"], "{count} patterns");
    }
}

#[test]
fn savings_are_credited_to_the_rule_that_has_them_behind_any_number_of_rules() {
    let stack = stack(&[&["Files/", "Files/a"]]);
    for count in [65_535, 65_536] {
        let mut removes: Vec<RemoveRule> = (0..count).map(|_| remove("vain", &["nothing"])).collect();
        removes.push(remove("last", &["a"]));
        let plan = plan(&stack, &rules(removes), &[]).unwrap();
        let freed = |(place, rule): (usize, &RuleOutcome)| (rule.unpacked > 0).then_some((place, rule.unpacked));
        assert_eq!(plan.rules.iter().enumerate().find_map(freed), Some((count, 1000)));
    }
}

#[test]
fn as_many_paths_and_patterns_as_generated_lists_have_are_taken() {
    let names: Vec<String> =
        std::iter::once("Files/".to_owned()).chain((0..5_000).map(|number| format!("Files/f{number}.dll"))).collect();
    let stack = stack(&[&names.iter().map(String::as_str).collect::<Vec<_>>()]);
    let mut paths: Vec<String> = (0..200_000).map(|number| format!("f{number}.dll")).collect();
    paths.extend((0..10_000).map(|number| format!("**\\*g{number}x.d?l")));
    let mut rules = removing(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    rules.keeps.push(keep(&["f4?.dll"]));
    let plan = plan(&stack, &rules, &[]).unwrap();
    assert_eq!(plan.layers[0.into()].summary.entries_after, 1 + 10);
    assert_eq!(plan.rules[0].without_match.len(), 195_000 + 10_000);
}

#[test]
fn too_many_wildcards_are_refused_with_their_number() {
    let some: Vec<String> = (0..30_000).map(|number| format!("*{number}")).collect();
    let set = PatternSet::parse(&some).unwrap();
    let mut both = rules(vec![remove("one", &["a"]), remove("two", &["a"])]);
    both.removes.iter_mut().for_each(|rule| rule.paths = set.clone());
    let error = plan(&stack(&[&["Files/"]]), &both, &[]).unwrap_err().to_string();
    assert!(error.starts_with("the profiles name 60000 paths with wildcards"), "{error}");
}

/// Whether something takes about as much longer as there is more of it. Four times as much may take eight times as long:
/// what is quadratic takes sixteen times.
fn is_linear(work: impl Fn(usize)) -> bool {
    let time = |count| {
        let start = Instant::now();
        work(count);
        start.elapsed()
    };
    let times = || (time(4_000), time(16_000));
    // Another program may take the processor away meanwhile.
    (0..5).map(|_| times()).any(|(few, many)| many < (few * 8).max(Duration::from_millis(50)))
}

#[test]
fn a_group_of_many_links_takes_linear_time() {
    assert!(is_linear(|count| {
        let mut names = vec!["Files/".to_owned(), "Files/d/".to_owned(), "Files/d/a".to_owned()];
        names.extend((0..count).map(|number| format!("Files/d/l{number} -> Files/d/a")));
        let stack = stack(&[&names.iter().map(String::as_str).collect::<Vec<_>>()]);
        let plan = plan(&stack, &removing(&["d"]), &[]).unwrap();
        assert_eq!(plan.rules[0].unpacked, 1000);
    }));
}

#[test]
fn links_that_find_no_survivor_take_linear_time() {
    // Every surviving name of the base layer is another file in the layer between.
    assert!(is_linear(|count| {
        let count = count / 3;
        let mut base = vec!["Files/".to_owned(), "Files/d/".to_owned(), "Files/d/a".to_owned()];
        base.extend((0..count).map(|number| format!("Files/s{number} -> Files/d/a")));
        let mut between = vec!["Files/".to_owned(), "Hives/".to_owned()];
        between.extend((0..count).map(|number| format!("Files/s{number}")));
        let mut top = vec!["Files/".to_owned(), "Hives/".to_owned()];
        top.extend((0..count).map(|number| format!("Files/t{number} -> Files/d/a")));
        let texts = [base, between, top].map(|names| names.join("\n"));
        let lists: Vec<Vec<&str>> = texts.iter().map(|text| text.lines().collect()).collect();
        let stack = stack(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let plan = plan(&stack, &removing(&["d"]), &[]).unwrap();
        assert_eq!(plan.layers[2.into()].summary.promoted, 1);
    }));
}

#[test]
fn one_name_many_times_over_takes_linear_time() {
    // A layer has each name once; others are refused, but only after they were looked at.
    assert!(is_linear(|count| {
        let count = count / 4;
        let mut base = vec!["Files/".to_owned()];
        base.extend((0..count).map(|_| "Files/a".to_owned()));
        let mut top = vec!["Files/".to_owned(), "Hives/".to_owned()];
        for number in 0..count {
            top.push("Files/A".to_owned());
            top.push(format!("Files/l{number} -> Files/a"));
            top.push("Files/.wh.a".to_owned());
        }
        let mut rules = removing(&["x"]);
        rules.shadowed = Shadowed::Drop;
        let texts = [base, top].map(|names| names.join("\n"));
        let lists: Vec<Vec<&str>> = texts.iter().map(|text| text.lines().collect()).collect();
        let stack = stack(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>());
        plan(&stack, &rules, &[]).unwrap();
    }));
}

#[test]
fn a_chain_of_links_into_a_layer_that_may_not_grow_takes_few_rounds() {
    assert!(is_linear(|count| {
        let mut top = vec!["Files/".to_owned(), "Hives/".to_owned(), "Files/g/".to_owned()];
        let mut target = "Files/d/a".to_owned();
        for number in 0..count / 4 {
            let name = format!("Files/g/l{number}");
            top.push(format!("{name} -> {target}"));
            target = name;
        }
        top.push(format!("Files/last -> {target}"));
        let stack = stack(&[&["Files/", "Files/d/", "Files/d/a"], &top.iter().map(String::as_str).collect::<Vec<_>>()]);
        let plan = plan(&stack, &removing(&["d", "g"]), &[LayerLimit::Free, LayerLimit::NoPromotion]).unwrap();
        assert!(!plan.takes_from_below(1.into()));
    }));
}
