use proptest::prelude::*;

use super::*;
use crate::layer::FoldedPath;
use crate::layer::path::upper_case;

fn matches(pattern: &str, name: &str) -> bool {
    PatternSet::parse(&[pattern]).unwrap().is_match(FoldedPath::new(name).as_str())
}

#[test]
fn patterns_match_as_on_windows() {
    for (pattern, name, expected) in [
        (r"Windows\Temp", "Files/Windows/Temp", true),
        ("windows/TEMP", "Files/Windows/Temp", true),
        (r"C:\Windows\Temp", "Files/Windows/Temp", true),
        (r"\Windows\Temp\", "Files/Windows/Temp", true),
        (r"Windows\Temp", "Files/Windows/Temp/a", false),
        (r"Windows\Temp", "Files/Windows", false),
        (r"Windows\Temp", "UtilityVM/Files/Windows/Temp", false),
        (r"UtilityVM:\Windows\Temp", "UtilityVM/Files/Windows/Temp", true),
        (r"utilityvm:/Windows", "UtilityVM/Files/Windows", true),
        (r"UtilityVM:\", "UtilityVM", true),
        ("UtilityVM:", "UtilityVM", true),
        (r"UtilityVM:\", "UtilityVM/Files", false),
        ("UtilityVM", "UtilityVM", false),
        (r"Windows\*.log", "Files/Windows/a.log", true),
        (r"Windows\*.log", "Files/Windows/x/a.log", false),
        (r"Windows\**", "Files/Windows/x/a.log", true),
        (r"Windows\**", "Files/Windows", false),
        (r"**\a.log", "Files/a.log", true),
        (r"**\a.log", "Files/x/y/a.log", true),
        (r"**\a.log", "Files/x/ya.log", false),
        (r"a\**\b", "Files/a/b", true),
        (r"a\**\b", "Files/a/x/y/b", true),
        (r"a\**\b", "Files/ab", false),
        (r"**\*.log", "UtilityVM/Files/a.log", false),
        (r"{a,b}.txt", "Files/b.txt", true),
        (r"{a,b\c}\d", "Files/b/c/d", true),
        (r"x{,y}", "Files/x", true),
        (r"x{,{y,z}}", "Files/xz", true),
        (r"CatRoot\{F750E6C3}\*.cat", "Files/CatRoot/{F750E6C3}/1.cat", true),
        ("{a{b,c}}", "Files/{ac}", true),
        ("a[0-9]", "Files/a7", true),
        ("a[!0-9]", "Files/a7", false),
        ("a[a-c]", "Files/AB", true),
        ("a[]x]", "Files/a]", true),
        ("a[x-]", "Files/a-", true),
        ("[{]", "Files/{", true),
        ("a[!b]c", "Files/a/c", false),
        ("a[!-~]c", "Files/a/c", false),
        ("a.+c", "Files/abbc", false),
        ("caf?", "Files/CAFÉ", true),
        ("caf[é]", "Files/CAFÉ", true),
        ("café", "Files/CAFÉ", true),
        ("straße", "Files/STRASSE", false),
        ("$Recycle.Bin", "Files/$Recycle.Bin", true),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn what_cannot_be_a_pattern_says_why() {
    for (pattern, why) in [
        ("", "names no file"),
        (r"C:\", "names no file"),
        (r"\", "names no file"),
        (r"D:\x", "another drive"),
        ("C:x", "lacks the `\\`"),
        (r"a\\b", "two separators"),
        (r"\\server\share", "two separators"),
        (r"a\..\b", "component `..`"),
        (r"{a,..}\b", "component `..`"),
        ("a**", "whole component"),
        ("file:b", "alternate data stream"),
        ("a|b", "no Windows name has"),
        ("a\nb", "control character"),
        ("a{b,c", "`{` without a `}`"),
        ("a}", "`}` without a `{`"),
        ("a[b", "`[` without a `]`"),
        (r"a[b\c]", "`[` without a `]`"),
        ("[z-a]", "range `z-a`"),
        ("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", "more than 256"),
    ] {
        let error = Pattern::parse(pattern).unwrap_err().to_string();
        assert!(error.contains(why), "{pattern}: {error}");
    }
    assert!(Pattern::parse(&"{".repeat(MAX_LENGTH)).is_err());
    assert!(Pattern::parse(&"x".repeat(MAX_LENGTH + 1)).is_err());
    assert!(Pattern::parse(&format!("{}a{}", "{".repeat(400), "}".repeat(400))).is_ok());
}

#[test]
fn a_set_tells_which_of_its_patterns_match() {
    let set = PatternSet::parse(&[r"b", r"**\a", r"Windows\?", r"a"]).unwrap();
    assert_eq!(set.matches("FILES/A"), Some(1.into()));
    let mut all = Vec::new();
    set.matches_into("FILES/A", &mut all);
    set.matches_into("FILES/C", &mut all);
    set.matches_into("FILES/WINDOWS/A", &mut all);
    assert_eq!(all, [1, 3, 1, 2].map(PatternNumber::from));
    let none = PatternSet::parse::<&str>(&[]).unwrap();
    assert!(none.is_empty() && none.matches("FILES/A").is_none());
}

/// What a pattern is made of, for a matcher that is too simple to be wrong.
#[derive(Debug, Clone)]
enum Piece {
    Literal(char),
    AnyText,
    AnyOne,
    Range(bool, char, char),
}

type Pieces = Option<Vec<Piece>>;

fn render(components: &[Pieces]) -> String {
    let component = |component: &Pieces| match component {
        None => "**".to_owned(),
        Some(pieces) => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(character) => character.to_string(),
                Piece::AnyText => "*".to_owned(),
                Piece::AnyOne => "?".to_owned(),
                Piece::Range(negated, first, last) => {
                    format!("[{}{first}-{last}]", if *negated { "!" } else { "" })
                }
            })
            .collect(),
    };
    components.iter().map(component).collect::<Vec<_>>().join("\\")
}

fn component_matches(pieces: &[Piece], name: &[char]) -> bool {
    let Some((piece, pieces)) = pieces.split_first() else { return name.is_empty() };
    if let Piece::AnyText = piece {
        return (0..=name.len()).any(|skipped| component_matches(pieces, &name[skipped..]));
    }
    let Some((&character, name)) = name.split_first() else { return false };
    let fits = match piece {
        Piece::Literal(literal) => upper_case(*literal) == character,
        Piece::Range(negated, first, last) => (upper_case(*first)..=upper_case(*last)).contains(&character) != *negated,
        _ => true,
    };
    fits && component_matches(pieces, name)
}

fn path_matches(components: &[Pieces], path: &[&str]) -> bool {
    match components.split_first() {
        None => path.is_empty(),
        Some((None, [])) => !path.is_empty(),
        Some((None, rest)) => (0..=path.len()).any(|skipped| path_matches(rest, &path[skipped..])),
        Some((Some(pieces), rest)) => path.split_first().is_some_and(|(name, path)| {
            component_matches(pieces, &name.chars().collect::<Vec<_>>()) && path_matches(rest, path)
        }),
    }
}

fn piece() -> impl Strategy<Value = Piece> {
    let letter = || prop::sample::select(vec!['a', 'B', 'é', '+', ' ', 'x']);
    prop_oneof![
        4 => letter().prop_map(Piece::Literal),
        1 => Just(Piece::AnyText),
        1 => Just(Piece::AnyOne),
        1 => any::<bool>().prop_map(|negated| Piece::Range(negated, 'a', 'b')),
        1 => any::<bool>().prop_map(|negated| Piece::Range(negated, '+', 'é')),
    ]
}

fn component() -> impl Strategy<Value = Pieces> {
    let pieces = prop::collection::vec(piece(), 1..4).prop_filter("two stars in a row are another thing", |pieces| {
        !pieces.windows(2).any(|two| matches!(two, [Piece::AnyText, Piece::AnyText]))
    });
    prop_oneof![1 => Just(None), 4 => pieces.prop_map(Some)]
}

proptest! {
    #[test]
    fn sets_agree_with_a_simple_matcher(
        patterns in prop::collection::vec(prop::collection::vec(component(), 1..4), 1..4),
        path in prop::collection::vec("[ABÉ+x ]{1,3}", 1..5),
    ) {
        let texts: Vec<String> = patterns.iter().map(|components| render(components)).collect();
        let set = PatternSet::parse(&texts).unwrap();
        let folded = FoldedPath::new(&format!("Files/{}", path.join("/")));
        let names: Vec<&str> = folded.as_str().split('/').skip(1).collect();
        let expected: Vec<PatternNumber> =
            set.patterns().numbers().zip(&patterns).filter(|(_, it)| path_matches(it, &names)).map(|(number, _)| number).collect();
        let mut found = Vec::new();
        set.matches_into(folded.as_str(), &mut found);
        prop_assert_eq!(&found, &expected, "{:?} {}", texts, folded);
        prop_assert_eq!(set.matches(folded.as_str()), expected.first().copied());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in r"[ab{},\[\]!^*?\\/:.é-]{0,40}", any in ".{0,40}") {
        for text in [text, any] {
            if let Ok(pattern) = Pattern::parse(&text) {
                PatternSet::new(vec![pattern]).unwrap();
            }
        }
    }
}
