//! Links between the two trees of a layer.

use super::*;

const BASE: [&str; 5] = ["Files/", "Files/a", "UtilityVM/", "UtilityVM/Files/", "UtilityVM/Files/a -> Files/a"];

#[test]
fn no_link_leads_into_a_utility_vm_that_is_not_there_yet() {
    let removed = ["0 Files/a: removed by 0", "0 UtilityVM/Files/a: holds the data of 0 Files/a"];
    for (upper, becomes) in [
        (&["Files/", "Hives/", "Files/x -> Files/a"][..], "1 Files/x: holds the data of 0 Files/a"),
        // The host looks for the target when it reads the link, and the UtilityVM comes later.
        (
            &["Files/", "Hives/", "Files/x -> Files/a", "UtilityVM/", "UtilityVM/Files/"],
            "1 Files/x: holds the data of 0 Files/a",
        ),
        (&["Files/", "Hives/", "UtilityVM/", "Files/x -> Files/a"], "1 Files/x: links to 0 UtilityVM/Files/a"),
        // Out of the UtilityVM, every tree is found.
        (
            &["Files/", "Hives/", "UtilityVM/", "UtilityVM/Files/", "UtilityVM/Files/x -> Files/a"],
            "1 UtilityVM/Files/x: links to 0 UtilityVM/Files/a",
        ),
    ] {
        let stack = stack(&[&BASE, upper]);
        assert_eq!(planned(&stack, &removing(&["a"])), [&removed[..], &[becomes]].concat(), "{upper:?}");
    }
}

#[test]
fn a_superseded_name_leaves_no_link_into_the_utility_vm_either() {
    let stack = stack(&[&BASE, &["Files/", "Hives/", "Files/x -> Files/a"], &["Files/", "Hives/", "Files/.wh.a"]]);
    let rules = RuleSet { shadowed: Shadowed::Drop, ..RuleSet::default() };
    assert_eq!(
        planned(&stack, &rules),
        [
            "0 Files/a: removed, Shadowed",
            "0 UtilityVM/Files/a: holds the data of 0 Files/a",
            "1 Files/x: holds the data of 0 Files/a",
            "2 Files/.wh.a: removed, Whiteout",
        ],
    );
}

#[test]
fn later_links_follow_the_name_that_took_the_data() {
    let stack = stack(&[&BASE, &["Files/", "Hives/", "Files/x -> Files/a", "Files/y -> Files/a"]]);
    let plan = plan(&stack, &removing(&["a"]), &[]).unwrap();
    assert_eq!(
        changes(&stack, &plan)[2..],
        ["1 Files/x: holds the data of 0 Files/a", "1 Files/y: links to 1 Files/x"],
    );
    assert_eq!(plan.rules[0].unpacked, -1000, "the data is there once more than before");
}
