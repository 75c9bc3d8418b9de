use super::drift::{ChangeKind, Direction, LayerState, Place};
use super::file::parse;
use super::*;
use crate::fault::Source;

fn named(name: &str, content: &str) -> Named {
    Named { name: name.to_owned(), digest: Digest::of(content.as_bytes()) }
}

fn inputs(image: &str) -> Inputs {
    Inputs {
        image: image.to_owned(),
        platform: None,
        profiles: vec![named("safe", "1"), named("mine", "2")],
        sources: vec![named("app", "3")],
    }
}

fn pin(version: &str, layers: &[(&str, u64)]) -> Pin {
    let layer = |&(content, size): &(&str, u64)| Layer { digest: Digest::of(content.as_bytes()), size };
    let content = format!("{version} {layers:?}");
    Pin {
        index: Some(Digest::of(format!("index of {content}").as_bytes())),
        manifest: Digest::of(content.as_bytes()),
        os_version: (!version.is_empty()).then(|| version.to_owned()),
        layers: layers.iter().map(layer).collect(),
    }
}

fn lock() -> Lock {
    let base = |image: &str, version: &str| LockedBase {
        inputs: inputs(image),
        pin: pin(version, &[("base", 1_749_538_666), (version, 368_683_400)]),
    };
    Lock::new(vec![base("r.example/a:1", "10.0.17763.8389"), base("r.example/b:2", "10.0.20348.1")])
}

fn read(text: &str) -> Result<Lock, String> {
    parse(Source { name: "winslim.lock", text }).map_err(|fault| fault.to_string())
}

fn unchanged(lock: &Lock) -> Vec<(Inputs, Option<Pin>)> {
    lock.bases.iter().map(|base| (base.inputs.clone(), Some(base.pin.clone()))).collect()
}

#[test]
fn a_lock_reads_back_and_is_always_written_alike() {
    let mut lock = lock();
    lock.bases[1].inputs.platform = Some("windows/amd64".to_owned());
    lock.bases[1].pin.index = None;
    lock.bases[1].pin.os_version = None;
    lock.bases[1].inputs.sources.clear();
    let text = lock.to_toml();
    assert_eq!(read(&text).unwrap(), lock);
    assert_eq!(read(&text).unwrap().to_toml(), text);
    for line in ["version = 1", "image = \"r.example/a:1\"", "os-version = \"10.0.17763.8389\"", "size = 1749538666"] {
        assert!(text.lines().any(|known| known == line), "`{line}` is not in {text}");
    }
    assert_eq!(read(&Lock::new(Vec::new()).to_toml()).unwrap().bases, []);
}

#[test]
fn a_lock_that_is_wrong_is_told_with_its_place() {
    let good = lock().to_toml();
    for (text, problem) in [
        (good.replace("version = 1\n", "version = 2\n"), "this winslim reads `version = 1`"),
        (good.replace("version = 1\n", ""), "the key `version` is missing"),
        (good.replacen("sha256:", "sha512:", 1), "is not a SHA-256 digest"),
        (good.replacen("image = ", "imag = ", 1), "the key `image` is missing"),
        (good.replacen("size = ", "size = -", 1), ""),
        ("<<<<<<< HEAD\n".to_owned(), "winslim.lock:1:9"),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.starts_with("winslim.lock:") && error.contains(problem), "{error}");
    }
}

#[test]
fn what_is_as_it_was_has_not_drifted() {
    let lock = lock();
    assert!(Drift::new(&lock, &unchanged(&lock)).is_none());
    let offline: Vec<_> = lock.bases.iter().map(|base| (base.inputs.clone(), None)).collect();
    assert!(Drift::new(&lock, &offline).is_none());
}

#[test]
fn a_month_later_the_servicing_layer_is_another() {
    let lock = lock();
    let mut now = unchanged(&lock);
    now[0].1 = Some(pin("10.0.17763.8511", &[("base", 1_749_538_666), ("new", 464_484_510)]));
    let drift = Drift::new(&lock, &now);
    assert!(!drift.is_none() && drift.bases[1].is_none());
    let moved = drift.bases[0].moved.as_ref().unwrap();
    assert_eq!(moved.direction, Direction::Forward);
    let states: Vec<_> = moved.layers.iter().map(|layer| (layer.layer, layer.state)).collect();
    assert_eq!(states, [(0, LayerState::Same), (1, LayerState::New), (1, LayerState::Gone)]);
    assert_eq!(moved.new_bytes, 464_484_510);
    assert_eq!((moved.after.build, moved.after.revision), (Some(17763), Some(8511)));
    assert_eq!(moved.after.update.as_deref(), Some("KB5078752"));
    assert_eq!(moved.before.released.as_deref(), Some("2026-02-10"));
    assert_eq!(drift.warnings().count(), 0);
}

#[test]
fn every_direction_is_told() {
    let layers = [("base", 1)];
    for (before, after, direction) in [
        ("10.0.17763.999", "10.0.17763.8511", Direction::Forward),
        ("10.0.17763.8511", "10.0.17763.999", Direction::Back),
        ("10.0.20348.1", "10.0.17763.2", Direction::Back),
        ("10.0.17763.2", "", Direction::Unknown),
        ("1809", "10.0.17763.2", Direction::Unknown),
    ] {
        let inputs = inputs("a");
        let lock = Lock::new(vec![LockedBase { inputs: inputs.clone(), pin: pin(before, &layers) }]);
        let drift = Drift::new(&lock, &[(inputs, Some(pin(after, &layers)))]);
        assert_eq!(drift.bases[0].moved.as_ref().unwrap().direction, direction, "{before} {after}");
        assert_eq!(drift.warnings().count(), usize::from(direction == Direction::Back));
    }
    let mut now = unchanged(&lock());
    now[0].1.as_mut().unwrap().index = Some(Digest::of(b"another index"));
    now[1].1 = Some(Pin { manifest: Digest::of(b"another manifest"), ..lock().bases[1].pin.clone() });
    let drift = Drift::new(&lock(), &now);
    let directions: Vec<_> = drift.bases.iter().map(|base| base.moved.as_ref().unwrap().direction).collect();
    assert_eq!(directions, [Direction::SameImage, Direction::SameVersion]);
}

#[test]
fn every_input_counts() {
    let lock = lock();
    let drift_of = |change: &dyn Fn(&mut Inputs)| {
        let mut now = unchanged(&lock);
        change(&mut now[0].0);
        let drift = Drift::new(&lock, &now);
        assert!(!drift.is_none());
        drift
    };
    let first = |drift: &Drift| drift.bases[0].profiles.iter().map(|change| change.kind).collect::<Vec<_>>();
    assert_eq!(first(&drift_of(&|inputs| inputs.profiles[1] = named("mine", "changed"))), [ChangeKind::Changed]);
    assert_eq!(first(&drift_of(&|inputs| drop(inputs.profiles.pop()))), [ChangeKind::Removed]);
    assert_eq!(first(&drift_of(&|inputs| inputs.profiles.push(named("x", "")))), [ChangeKind::Added]);
    assert_eq!(first(&drift_of(&|inputs| inputs.profiles.reverse())), [ChangeKind::Reordered]);
    let drift = drift_of(&|inputs| inputs.sources[0] = named("app", "changed"));
    assert_eq!(drift.bases[0].sources[0].kind, ChangeKind::Changed);
    let drift = drift_of(&|inputs| inputs.platform = Some("windows/amd64".to_owned()));
    let places: Vec<_> = drift.bases.iter().map(|base| base.place).collect();
    assert_eq!(places, [Place::NotLocked, Place::Both, Place::OnlyLocked]);
    let older = Lock { winslim: "0.0.1".to_owned(), ..lock.clone() };
    assert_eq!(Drift::new(&older, &unchanged(&lock)).locked_by.as_deref(), Some("0.0.1"));
}
