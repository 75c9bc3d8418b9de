//! The pages that winslim writes, in a browser: do they draw, can they be walked through, do names stay text?

mod browser;
#[path = "../../testdata/generator/mod.rs"]
mod generator;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;

use browser::{Browser, ENTER, ESCAPE, RIGHT};
use generator::layout::{Format, write_layout};
use generator::{Image, Scale};
use serde_json::json;
use support::Sandbox;

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// A sandbox with the sample, `oci:…` of it, and a place for a page.
fn sample() -> (Sandbox, String, PathBuf) {
    written(&Image::sample(&Scale::SMALL))
}

/// The same with names that want to be HTML.
fn hostile() -> (Sandbox, String, PathBuf) {
    let mut image = Image::sample(&Scale::SMALL);
    image.layers[0].made(&format!("Files/{HOSTILE}"), 300_000);
    image.layers[0].directory("Files/<");
    image.layers[0].made("Files/</script><!--", 200_000);
    written(&image)
}

fn written(image: &Image) -> (Sandbox, String, PathBuf) {
    let sandbox = Sandbox::new();
    write_layout(image, &Format::default(), &sandbox.path("base")).expect("the sandbox can be written to");
    let (reference, page) = (sandbox.layout("base"), sandbox.path("page.html"));
    (sandbox, reference, page)
}

fn quiet(browser: &Browser) {
    assert_eq!(browser.complaints(), json!([]));
}

const CELLS: &str = "document.querySelectorAll('#cells button').length";
const HERE: &str = "document.querySelector('#crumbs [aria-current]').textContent";
/// The largest directory in the picture.
const DIRECTORY: &str = "document.querySelector('#cells .group')";

#[test]
fn an_image_can_be_walked_through() {
    let (sandbox, reference, page) = sample();
    sandbox.winslim(&["inspect", &reference, "--format", "html", "-o", page.to_str().expect("UTF-8")]).done();
    let browser = Browser::start();
    browser.open(&page);
    assert_eq!(browser.text("document.querySelector('h1').textContent"), reference);
    assert_eq!(browser.get("document.querySelectorAll('.tile').length"), 4);
    assert!(browser.get(CELLS).as_u64() > Some(100), "{}", browser.get(CELLS));
    let start = browser.text(HERE);

    assert_eq!(browser.get("document.getElementById('warnings').hidden"), true);

    // The mouse: into a directory, and back by the way above the picture.
    let name = browser.text(&format!("{DIRECTORY}.node.name"));
    assert_ne!(name, start);
    browser.click(&format!("{DIRECTORY}.firstChild"));
    assert_eq!(browser.text(HERE), name);
    assert!(browser.text("document.getElementById('list-title').textContent").ends_with(&name));
    browser.click("document.querySelector('#crumbs [aria-current]').previousSibling");
    assert_eq!(browser.text(HERE), start);

    // The keyboard: an arrow moves, Enter goes in, Escape comes back to the same cell.
    browser.get("document.querySelector('#cells [tabindex=\"0\"]').focus()");
    browser.press(RIGHT);
    let moved = "document.activeElement !== document.querySelector('#cells button') && document.activeElement.closest('#cells') !== null";
    assert_eq!(browser.get(moved), true);
    browser.get(&format!("{DIRECTORY}.focus()"));
    browser.press(ENTER);
    assert_eq!(browser.text(HERE), name);
    browser.press(ESCAPE);
    assert_eq!(browser.text(HERE), start);
    assert_eq!(browser.text("document.activeElement.node.name"), name);

    // Unpacked sizes are another picture.
    let first = || browser.text("document.querySelector('#list-rows .number').textContent");
    let compressed = first();
    browser.click("document.querySelector('[value=unpacked] + span')");
    assert_ne!(first(), compressed);
    quiet(&browser);
}

#[test]
fn names_are_searched_and_stay_text() {
    let (sandbox, reference, page) = hostile();
    sandbox.winslim(&["inspect", &reference, "--format", "html", "-o", page.to_str().expect("UTF-8")]).done();
    let browser = Browser::start();
    browser.open(&page);
    let search = |words: &str| {
        browser.get("document.getElementById('search').focus()");
        browser.get("document.getElementById('search').select()");
        words.chars().for_each(|letter| browser.press(&letter.to_string()));
        browser.get("[...document.querySelectorAll('#list-rows button')].map((button) => button.textContent)")
    };
    let found = search("c: ntdll system32");
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    browser.click("document.querySelector('#list-rows button')");
    assert_eq!(browser.text(HERE), "System32");
    // `<`, which no name on Windows has, is spelled so that bytes that are not UTF-8 can be.
    let hostile = HOSTILE.replace('<', "<3C>");
    assert_eq!(search("onerror"), json!([format!("C:\\{hostile}")]));
    assert_eq!(search("/script>"), json!(["C:\\<3C>\\script><3C>!--"]));
    assert_eq!(search("no such name"), json!([]));
    browser.press(ESCAPE);
    assert_eq!(browser.get("document.getElementById('search').value"), "");

    // In the picture and in the tables too.
    browser.click("document.querySelector('#crumbs button').nextSibling");
    assert_eq!(browser.text(HERE), "C:");
    assert_eq!(browser.get("document.querySelectorAll('img, #cells script').length"), 0);
    assert!(browser.text("document.getElementById('tables').textContent").contains(&hostile));
    quiet(&browser);
}

#[test]
fn tables_are_sorted_and_schemes_and_screens_served() {
    let (sandbox, reference, page) = sample();
    sandbox.winslim(&["inspect", &reference, "--format", "html", "-o", page.to_str().expect("UTF-8")]).done();
    let browser = Browser::start();
    browser.open(&page);
    browser.get("(window.table = document.querySelector('#tables table')) && 0");
    let column = |at: usize| {
        let cells = format!("[...table.tBodies[0].rows].map((row) => row.cells[{at}].textContent)");
        let cells = browser.get(&cells);
        cells
            .as_array()
            .expect("an array")
            .iter()
            .map(|cell| cell.as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let header = |at: usize| browser.text(&format!("table.tHead.rows[0].cells[{at}].getAttribute('aria-sort')"));
    let sort = |at: usize| browser.click(&format!("table.tHead.rows[0].cells[{at}].firstChild"));
    sort(0);
    // Where names of directories stand among the others is the browser's to say.
    let names: Vec<String> = column(0).into_iter().filter(|name| name.starts_with(char::is_lowercase)).collect();
    assert!(names.len() > 10 && names.is_sorted(), "{names:?}");
    assert_eq!(header(0), "ascending");
    sort(0);
    assert_eq!(header(0), "descending");
    let files = 3;
    sort(files);
    assert_eq!((header(0).as_str(), header(files).as_str()), ("none", "descending"));
    let numbers: Vec<u64> = column(files).iter().map(|text| text.replace(',', "").parse().expect("a number")).collect();
    assert!(numbers.is_sorted_by(|a, b| a >= b), "{numbers:?}");

    let background = || browser.text("getComputedStyle(document.body).backgroundColor");
    assert_eq!(background(), "rgb(246, 247, 249)");
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    browser.devtools("Emulation.setEmulatedMedia", dark);
    assert_eq!(background(), "rgb(18, 21, 26)");

    let narrow = json!({ "width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": true });
    browser.devtools("Emulation.setDeviceMetricsOverride", narrow);
    assert_eq!(browser.get("document.documentElement.scrollWidth"), 400, "nothing stands out at the side");
    quiet(&browser);
}

#[test]
fn builds_and_plans_show_what_they_save() {
    let (sandbox, reference, page) = sample();
    let file = page.to_str().expect("UTF-8");
    let browser = Browser::start();
    let rules =
        "[...document.querySelectorAll('.table')].find((table) => table.firstChild.textContent === 'Savings by rule')";
    let bars = "[...document.querySelectorAll('.bar-row')].map((row) => row.firstChild.textContent)";
    let widths = "[...document.querySelectorAll('.bar')].map((bar) => bar.lastChild.getBoundingClientRect().right)";
    let target = sandbox.layout("slim");
    let profile = sandbox.file("slim.toml", &support::profile(&["Windows\\WinSxS"], ""));
    let plan = ["plan", &reference, "-p", &profile, "--format", "html", "-o", file];
    let build = ["build", &reference, "-p", &profile, "-t", &target, "--report", file];
    for arguments in [&plan[..], &build[..]] {
        sandbox.winslim(arguments).done();
        browser.open(&page);
        assert_eq!(browser.get(bars), json!(["before", "after"]));
        let widths = browser.get(widths);
        assert!(widths[0].as_f64() > widths[1].as_f64(), "{widths}");
        assert!(browser.get(&format!("{rules}.querySelectorAll('tbody tr').length")).as_u64() > Some(0));
        assert!(browser.text("document.querySelector('.tile .value').textContent").starts_with('-'));
        assert_eq!(browser.get("document.getElementById('map').hidden"), true);
        quiet(&browser);
    }
}

#[test]
fn a_policy_that_is_not_met_is_on_the_page() {
    let (sandbox, reference, page) = sample();
    let file = page.to_str().expect("UTF-8");
    let broken = sandbox.winslim(&["inspect", &reference, "--fail-if", "files > 1", "--format", "html", "-o", file]);
    broken.fails(3, &["files > 1"]);
    let browser = Browser::start();
    browser.open(&page);
    assert!(browser.text("document.getElementById('warnings').innerText").contains("not met: files > 1"));
    quiet(&browser);
}

#[test]
fn commands_without_a_page_say_so() {
    let (sandbox, reference, _) = sample();
    for arguments in [&["verify", &reference, "--format", "html"][..], &["ls", &reference, "--format", "html"]] {
        sandbox.winslim(arguments).fails(2, &["invalid value", "[possible values: text, json, markdown]"]);
    }
}
