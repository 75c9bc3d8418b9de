use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::profile::parse::MOST_MISTAKES;
use crate::profile::{Risk, Shadowed};

const HEAD: &str = "schema = 1\nname = 'test'\nsummary = 'A test'\nrisk = 'low'\n";

/// Loads `main.toml` of these files, and gives errors with the directory's name taken out.
fn load_files(files: &[(&str, &str)]) -> Result<RuleSet, String> {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let main = directory.path().join("main.toml").display().to_string();
    let start = format!("{}/", directory.path().display());
    load(&[main]).map_err(|error| error.to_string().replace(&start, ""))
}

fn load_text(text: &str) -> Result<RuleSet, String> {
    load_files(&[("main.toml", &format!("{HEAD}{text}"))])
}

fn error(text: &str) -> String {
    load_text(text).unwrap_err()
}

#[test]
fn a_misspelt_key_is_marked_and_the_right_one_suggested() {
    assert_eq!(
        error("[[remove]]\nid = 'a'\npathes = ['x']\nreason = 'r'\n"),
        "main.toml:7:1: unknown key `pathes`; did you mean `paths`?\n  |\n7 | pathes = ['x']\n  | ^^^^^^"
    );
    assert_eq!(
        error("zzz = 1\n"),
        "main.toml:5:1: unknown key `zzz`; here stands one of `schema`, `name`, `summary`, `risk`, `bases`, `builds`, \
         `include`, `remove`, `keep`, `add`, `image`, `layers`\n  |\n5 | zzz = 1\n  | ^^^"
    );
}

#[test]
fn each_fault_is_told_with_its_place() {
    let rule = |rest: &str| format!("[[remove]]\nid = 'a'\nreason = 'r'\n{rest}");
    for (text, message) in [
        ("builds = ['x']", "5:11: this is of the wrong type: string \"x\", where a whole number is expected"),
        ("include = 'safe'", "5:11: this is of the wrong type: string \"safe\", where a list is expected"),
        ("remove = [1]", "5:11: this is of the wrong type: integer `1`, where a table is expected"),
        ("image = []", "5:9: this is of the wrong type: a list, where a table is expected"),
        ("builds = [-1]", "5:11: "),
        ("builds = [", "5:11: unclosed array, expected `]`"),
        ("[layers]\nshadowed = 'dorp'", "6:12: unknown value `dorp`; did you mean `drop`?"),
        (&rule("paths = ['a', 'b:c']"), "8:15: the pattern `b:c` is"),
        (
            &rule(r#"paths = ["Windows\Installer"]"#),
            r"8:19: `\` begins an escape between double quotes; write Windows paths",
        ),
        (&rule(r#"paths = ["Windows\users"]"#), r"8:20: `\` begins an escape between double quotes"),
        (&rule(r#"paths = ["Windows\temp"]"#), r"8:10: the pattern `Windows\temp` has a control character, as"),
        (&rule("paths = []"), "8:9: the rule names no path"),
        (&rule("paths = ['a']\nexcept = ['..']"), "9:11: the pattern `..` has a component `..`"),
        ("[[keep]]\npaths = ['']", "6:10: the pattern `` names no file or directory"),
        ("[[remove]]\nid = 'a'\npaths = ['x']", "5:1: the key `reason` is missing"),
        ("[[remove]]\nid = 'a b'\npaths = ['x']\nreason = 'r'", "6:6: the id consists of letters"),
        (&rule("paths = ['a']\n").repeat(2), "10:6: a rule before this one has the id `a` too"),
        (&rule("paths = ['a']\nmatch = 'always'"), "9:9: unknown value `always`; here stands one of"),
        ("include = ['saef']", "5:12: there is no built-in profile `saef`; did you mean `safe`?"),
        ("include = ['x/y.toml']", "5:12: cannot read the profile `x/y.toml`: no such file or directory"),
        ("[[add]]\nsource = 'x'\ntarget = 'C:\\x'", "6:10: cannot read the source `x`: no such file or directory"),
        ("[[add]]\nsource = 'main.toml'\ntarget = 'D:\\x'", "7:10: the target `D:\\x` is not a path below `C:\\`"),
        ("[[add]]\nsource = 'main.toml'\ntarget = 'C:\\x\\'", "7:10: the target `C:\\x\\` names a directory"),
        ("[image]\nexposed-ports = ['80', '0']", "6:24: a port is a number"),
        ("[image]\nenv = { PATH = 'a', Path = 'b' }", "`PATH` and `Path` are the same variable"),
        ("[image]\nexposed_ports = []", "6:1: unknown key `exposed_ports`; did you mean `exposed-ports`?"),
    ] {
        let error = error(text);
        assert!(error.contains(message), "{text}\n{error}");
        assert!(error.starts_with("main.toml:") && error.ends_with('^'), "{error}");
    }
}

#[test]
fn the_version_of_the_format_is_looked_at_first() {
    for (text, message) in [
        ("schema = 2\nnews = 1\n", "main.toml:1:10: unknown version 2 of the format; this winslim reads `schema = 1`"),
        ("name = 'x'\n", "main.toml:1:1: the key `schema` is missing; this winslim reads `schema = 1`"),
        ("schema = '1'\n", "main.toml:1:10: this is of the wrong type"),
        ("", "main.toml:1:1: the key `schema` is missing"),
    ] {
        let error = load_files(&[("main.toml", text)]).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn circles_are_shown_as_a_chain() {
    let include = |name: &str, other: &str| format!("{}include = ['{other}']\n", HEAD.replace("test", name));
    let error = load_files(&[
        ("main.toml", &include("main", "sub/a.toml")),
        ("sub/a.toml", &include("a", "./b.toml")),
        ("sub/b.toml", &include("b", "a.toml")),
    ])
    .unwrap_err();
    let first = error.lines().next().unwrap();
    assert_eq!(
        first,
        "sub/b.toml:5:12: the profiles include each other in a circle: sub/a.toml → sub/b.toml → sub/a.toml"
    );
    let error = load_files(&[("main.toml", &include("main", "./main.toml"))]).unwrap_err();
    assert!(error.contains("circle: main.toml → main.toml\n"), "{error}");
}

#[test]
fn files_that_are_no_profiles_are_told_apart() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("latin.toml"), b"name = '\xe9'").unwrap();
    fs::File::create(path("large.toml")).unwrap().set_len(MAX_SIZE + 1).unwrap();
    fs::create_dir(path("directory.toml")).unwrap();
    for (name, message) in [
        ("latin.toml", "is not text in UTF-8"),
        ("large.toml", "is larger than 65536 KiB"),
        ("directory.toml", "cannot read the profile"),
        ("nothing.toml", "no such file or directory"),
    ] {
        let error = load(&[path(name)]).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains(name), "{error}");
        assert!(!error.contains("os error"), "{error}");
    }
    let error = load(&["winsx"]).unwrap_err().to_string();
    assert!(error.contains("no built-in profile `winsx`; did you mean `winsxs`?"), "{error}");
    assert!(load(&["zzzzzz"]).unwrap_err().to_string().contains("`winslim profile list` shows all"));
}

#[test]
fn included_rules_come_first_and_once() {
    let rules = load_files(&[
        ("main.toml", &format!("{HEAD}include = ['sub\\a.toml', 'safe', './sub/../sub/a.toml']\n[[remove]]\nid = 'last'\npaths = ['x']\nreason = 'r'\n[image]\nenv = {{ path = 'main', B = '2' }}\nexposed-ports = ['53/udp', '80']")),
        ("sub/a.toml", &format!("{}include = ['safe']\n[image]\nenv = {{ PATH = 'a' }}\ncmd = ['x']\nuser = 'u'\n[[add]]\nsource = '.'\ntarget = 'app'\n[layers]\nshadowed = 'drop'", HEAD.replace("test", "a"))),
    ])
    .unwrap();
    let names: Vec<&str> = rules.profiles.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(names, ["safe", "a", "test"]);
    assert_eq!(rules.profiles[0].origin, Origin::BuiltIn);
    assert_eq!(rules.removes.last().unwrap().full_id(), "test/last");
    assert_eq!(rules.adds[0].target.as_str(), "Files/app");
    assert!(rules.adds[0].source.ends_with("sub"));
    assert_eq!(rules.shadowed, Shadowed::Drop);
    let env: Vec<_> = rules.image.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["B=2", "path=main"]);
    assert_eq!(rules.image.cmd.as_deref(), Some(&["x".to_owned()][..]));
    assert_eq!(rules.image.exposed_ports.into_iter().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
}

#[test]
fn a_name_cannot_stand_for_two_profiles() {
    let error = load_files(&[("main.toml", &format!("{}include = ['safe']\n", HEAD.replace("test", "safe")))]);
    assert_eq!(
        error.unwrap_err(),
        "two profiles are named `safe`: built-in and main.toml; give one of them another name"
    );
}

#[test]
fn the_digest_of_a_set_follows_text_and_order() {
    let digest = |profiles: &[&str]| load(profiles).unwrap().digest();
    assert_eq!(digest(&["safe", "winsxs"]), digest(&["safe", "winsxs", "safe"]));
    assert_ne!(digest(&["safe", "winsxs"]), digest(&["winsxs", "safe"]));
    assert_ne!(digest(&["safe"]), digest(&["winsxs"]));
    let empty = load::<&str>(&[]).unwrap();
    assert!(empty.removes.is_empty() && empty.image == Default::default() && empty.shadowed == Shadowed::Keep);
}

#[test]
fn built_in_profiles_are_complete() {
    for known in builtin::ALL {
        let rules = load(&[known.name]).unwrap_or_else(|error| panic!("{}: {error}", known.name));
        let own = rules.profiles.last().unwrap();
        assert_eq!(own.name, known.name);
        assert!(!own.bases.is_empty() && !own.builds.is_empty() && known.text.starts_with("# "), "{}", known.name);
        assert!(!known.text.contains('\r') && known.text.lines().all(|line| line.len() <= 200), "{}", known.name);
        for rule in &rules.removes {
            assert!(!rule.reason.is_empty() && rule.price.is_some(), "{}", rule.full_id());
        }
        // A combination is at least as risky as its parts.
        assert!(rules.profiles.iter().all(|part| part.risk <= own.risk), "{}", known.name);
    }
}

#[test]
fn built_in_profiles_remove_what_they_say_and_nothing_near_it() {
    for (profile, name, removed) in [
        ("safe", "Files/Windows/WinSxS/ManifestCache/5a_blobs.bin", true),
        ("safe", "Files/Windows/WinSxS/ManifestCache", false),
        ("safe", "Files/Windows/Logs/CBS/CBS.log", true),
        ("safe", "Files/Windows/Logs/CBS", false),
        ("safe", "Files/Windows/INF/setupapi.dev.log", true),
        ("safe", "Files/Windows/INF/setupapi.inf", false),
        ("safe", "Files/Users/ContainerUser/AppData/Local/Temp/x", true),
        ("native-images", "Files/Windows/assembly/NativeImages_v4.0.30319_64", true),
        ("native-images", "Files/Windows/assembly/GAC_MSIL", false),
        ("drivers", "Files/Windows/System32/DriverStore/FileRepository/prnms003.inf_amd64_0", true),
        ("drivers", "Files/Windows/System32/DriverStore/FileRepository/netvsc.inf_amd64_0", false),
        ("drivers", "Files/Windows/WinSxS/amd64_prnms003.inf_31bf3856ad364e35_10.0.17763.1_none_0", true),
        ("drivers", "Files/Windows/WinSxS/amd64_printer-thing_31bf3856ad364e35_10.0.17763.1_none_0", false),
        ("winsxs", "Files/Windows/WinSxS/amd64_microsoft-windows-notepad_31bf3856ad364e35_10.0.1.1_none_0", true),
        ("winsxs", "Files/Windows/WinSxS/Manifests", false),
        ("winsxs", "Files/Windows/WinSxS/Catalogs", false),
        ("winsxs", "Files/Windows/WinSxS", false),
        ("winsxs", "Files/Windows/WinSxS/amd64_microsoft.windows.gdiplus_6595b64144ccf1df_1.1_none_0", false),
        ("no-wow64", "Files/Windows/SysWOW64", true),
        ("no-wow64", "Files/Windows/WinSxS/wow64_microsoft-windows-notepad_31bf3856ad364e35_1_none_0", true),
        ("no-wow64", "Files/Windows/assembly/NativeImages_v4.0.30319_32", true),
        ("no-wow64", "Files/Windows/assembly/NativeImages_v4.0.30319_64", false),
        ("no-wow64", "Files/Windows/Microsoft.NET/Framework64", false),
        ("no-utilityvm", "UtilityVM", true),
        ("no-utilityvm", "Files/Windows", false),
    ] {
        let rules = load(&[profile]).unwrap();
        let folded = crate::layer::FoldedPath::new(name);
        let goes = |rule: &super::super::RemoveRule| {
            rule.paths.is_match(folded.as_str()) && !rule.except.is_match(folded.as_str())
        };
        assert_eq!(rules.removes.iter().any(goes), removed, "{profile} {name}");
    }
}

#[test]
fn the_component_store_keeps_what_programs_load() {
    let rules = load(&["winsxs"]).unwrap();
    assert_eq!(rules.removes[0.into()].except.len(), 31);
}

#[test]
fn combinations_have_all_their_parts() {
    let names = |profile: &str| -> Vec<String> {
        load(&[profile]).unwrap().profiles.iter().map(|part| part.name.clone()).collect()
    };
    assert_eq!(
        names("balanced"),
        ["safe", "native-images", "drivers", "no-speech-ime-help", "no-defender", "balanced"]
    );
    assert_eq!(names("minimal").len(), builtin::ALL.len());
    assert_eq!(load(&["minimal"]).unwrap().shadowed, Shadowed::Drop);
    assert_eq!(load(&["minimal"]).unwrap().profiles.last().unwrap().risk, Risk::High);
}

#[test]
fn the_schema_knows_every_key_of_the_built_in_profiles() {
    let schema: serde_json::Value = serde_json::from_str(&crate::profile::schema::json_schema()).unwrap();
    let table = |schema: &serde_json::Value, name: &str| schema["$defs"][name]["properties"].clone();
    for known in builtin::ALL {
        let profile: toml::Table = toml::from_str(known.text).unwrap();
        for (key, value) in &profile {
            assert!(schema["properties"][key]["description"].is_string(), "{key}");
            for rule in value.as_array().into_iter().flatten().filter(|_| key == "remove") {
                for key in rule.as_table().unwrap().keys() {
                    assert!(table(&schema, "Remove")[key]["description"].is_string(), "{key}");
                }
            }
        }
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["schema", "name", "summary", "risk"]));
    assert_eq!(table(&schema, "Remove")["paths"]["items"]["type"], "string");
    assert!(table(&schema, "Image")["exposed-ports"].is_object());
}

/// The places and the first words of everything that is wrong.
fn mistakes(text: &str) -> Vec<String> {
    let error = error(text);
    let lines = error.lines().filter_map(|line| line.strip_prefix("main.toml:"));
    lines.map(|line| line.chars().take(30).collect()).collect()
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text = "\
builds = ['x']
[[remove]]
id = 'a b'
pathes = ['x']
reason = 'r'
[[remove]]
paths = ['ok', 'b:c', 'a**', 'd']
colour = 'red'
except = ['e:f']
[[remove]]
id = 'last'
paths = []
reason = 1
[[keep]]
paths = ['g:h']
match = 'requierd'
[[add]]
source = 'nothing'
target = 'D:\\x'
[image]
exposed-ports = ['0']
";
    assert_eq!(
        mistakes(text),
        [
            "5:11: this is of the wrong typ",
            "7:6: the id consists of letter",
            "8:1: unknown key `pathes`; did",
            "10:1: the key `id` is missing",
            "10:1: the key `reason` is miss",
            "11:16: the pattern `b:c` is on",
            "11:23: the pattern `a**` has `",
            "12:1: unknown key `colour`; he",
            "13:11: the pattern `e:f` is on",
            "16:9: the rule names no path; ",
            "17:10: this is of the wrong ty",
            "19:10: the pattern `g:h` is on",
            "20:9: unknown value `requierd`",
            "23:10: the target `D:\\x` is no",
            "25:18: a port is a number from",
        ],
    );
}

#[test]
fn mistakes_of_included_files_are_told_too_and_never_without_end() {
    let other = format!("{}[[keep]]\npaths = ['a:b']\n", HEAD.replace("'test'", "'other'"));
    let main = format!("{HEAD}include = ['./other.toml']\n[[keep]]\npaths = ['c:d']\n");
    let error = load_files(&[("main.toml", &main), ("other.toml", &other)]).unwrap_err();
    assert!(
        error.contains("main.toml:7:10: the pattern `c:d`") && error.contains("other.toml:6:10: the pattern `a:b`")
    );
    let many = format!("[[keep]]\npaths = [{}]\n", "'a:b', ".repeat(100_000));
    assert_eq!(mistakes(&many).len(), MOST_MISTAKES);
    let many = "colour = 1\n".to_owned() + &"[[remove]]\ncolour = 1\n".repeat(1000);
    assert_eq!(mistakes(&many).len(), MOST_MISTAKES);
}

#[test]
fn a_keep_rule_can_be_required_to_match() {
    let rules = load_text("[[keep]]\npaths = ['a']\nmatch = 'required'\n[[keep]]\npaths = ['b']\n").unwrap();
    assert_eq!(rules.keeps.iter().map(|keep| keep.required).collect::<Vec<_>>(), [true, false]);
}

#[cfg(unix)]
#[test]
fn what_a_profile_names_stays_in_its_directory() {
    use std::os::unix::fs::symlink;

    let (inside, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let secret = "root:x:0:0 a secret line\n";
    fs::write(outside.path().join("passwd"), secret).unwrap();
    fs::write(outside.path().join("other.toml"), HEAD.replace("'test'", "'other'")).unwrap();
    let path = |name: &str| inside.path().join(name);
    symlink(outside.path().join("passwd"), path("link")).unwrap();
    symlink(outside.path().join("passwd"), path("link.toml")).unwrap();
    symlink(outside.path(), path("directory")).unwrap();
    fs::write(path("file"), "inside").unwrap();
    symlink(path("file"), path("good-link")).unwrap();
    let out = outside.path().display();
    let load_main = |text: &str, allowed: &[PathBuf]| {
        fs::write(path("main.toml"), format!("{HEAD}{text}")).unwrap();
        let loaded = load_allowing(None, &[path("main.toml").display().to_string()], allowed);
        loaded.map_err(|error| error.to_string())
    };
    let add = |source: &str| format!("[[add]]\nsource = '{source}'\ntarget = 'C:\\a'\n");
    for text in [
        add("link"),
        add("directory"),
        add("directory/passwd"),
        add(&format!("{out}/passwd")),
        add("/etc/passwd"),
        add("../../../../../../../../etc/passwd"),
        format!("include = ['{out}/other.toml']\n"),
        "include = ['./link.toml']\n".to_owned(),
        "include = ['directory/other.toml']\n".to_owned(),
    ] {
        let error = load_main(&text, &[]).unwrap_err();
        assert!(error.contains("--allow-path") && !error.contains("secret"), "{text}: {error}");
    }
    for text in [add("file"), add("good-link"), add("."), "include = ['safe']\n".to_owned()] {
        load_main(&text, &[]).unwrap();
    }
    let allowed = [outside.path().to_owned()];
    for text in [add("link"), add("directory"), format!("include = ['{out}/other.toml']\n")] {
        load_main(&text, &allowed).unwrap();
    }
    // The file that is named itself.
    let named = path("link.toml").display().to_string();
    for error in [load(&[&named]).unwrap_err().to_string(), super::text(&named, &[]).unwrap_err().to_string()] {
        assert!(error.contains("--allow-path") && !error.contains("secret"), "{error}");
    }
    let in_build_file = load_in(inside.path(), &[format!("{out}/other.toml")]).unwrap_err().to_string();
    assert!(in_build_file.contains("--allow-path"), "{in_build_file}");
    // Whoever names a file elsewhere means it.
    load(&[format!("{out}/other.toml")]).unwrap();
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_and_not_waited_for() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    assert!(std::process::Command::new("mkfifo").arg(path("pipe.toml")).status().unwrap().success());
    let main = |text: String| {
        fs::write(path("main.toml"), format!("{HEAD}{text}")).unwrap();
        path("main.toml")
    };
    let as_source = main("[[add]]\nsource = 'pipe.toml'\ntarget = 'C:\\a'\n".to_owned());
    assert!(load(&[as_source]).unwrap_err().to_string().contains("it is a pipe or a device"));
    let as_include = main("include = ['./pipe.toml']\n".to_owned());
    for profile in [as_include, path("pipe.toml"), "/dev/zero".to_owned()] {
        assert!(load(&[profile]).unwrap_err().to_string().contains("it is a pipe or a device"));
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(
        number in 0..builtin::ALL.len(), start in 0_usize..3000, length in 0_usize..20, insert in "[\\[\\]{}='\"a-z0-9 \n\u{1b}é]{0,5}"
    ) {
        let characters: Vec<char> = builtin::ALL[number].text.chars().collect();
        let start = start.min(characters.len());
        let end = (start + length).min(characters.len());
        let text: String =
            characters[..start].iter().copied().chain(insert.chars()).chain(characters[end..].iter().copied()).collect();
        let mut faults = Vec::new();
        let read = parse(Source { name: "x", text: &text }, &mut faults);
        prop_assert!(read.is_some() || !faults.is_empty());
        for fault in faults {
            let error = fault.to_string();
            prop_assert!(error.starts_with("x:") && !error.contains('\u{1b}'), "{}", error);
        }
    }
}
