//! Whether a registry takes pushes is found out before any work, and no upload is left open for that.

use super::http::{Request, Response};
use super::odd::OddRegistry;
use super::refusals::Scene;

fn begins(request: &Request) -> bool {
    request.method == "POST" && request.target.ends_with("/blobs/uploads/")
}

#[test]
fn nothing_is_downloaded_for_a_push_that_is_refused() {
    let scene = Scene::new();
    let source = OddRegistry::start(|_, _| None);
    let base = source.reference("base:one");
    scene.sandbox.winslim(&["copy", &scene.base, &base]).done();
    let cases: [(u16, &str, &[&str]); 4] = [
        (403, "DENIED", &["cannot push to ", "refused access (403 Forbidden", "No credentials for"]),
        (401, "UNAUTHORIZED", &["cannot push to ", "refused access (401 Unauthorized"]),
        (404, "NAME_UNKNOWN", &["repository unknown: ", "has no repository slim to push to; create it first"]),
        (400, "NAME_INVALID", &["cannot push to ", "400 Bad Request: NAME_INVALID"]),
    ];
    for (status, code, words) in cases {
        let target = OddRegistry::start(move |request, _| {
            begins(request).then(|| Response::new(status, format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#)))
        });
        std::fs::remove_dir_all(scene.sandbox.path("cache")).unwrap();
        let slim = target.reference("slim:one");
        for arguments in [&["build", &base, "-p", &scene.profile, "-t", &slim][..], &["copy", &base, &slim]] {
            scene.sandbox.winslim(arguments).fails(1, words);
            assert!(scene.sandbox.is_empty("cache/winslim/blobs"), "{status}: something was downloaded");
        }
        assert!(target.requests().iter().all(|request| matches!(request.method.as_str(), "GET" | "POST")), "{status}");
    }
}

#[test]
fn no_upload_is_left_open() {
    let scene = Scene::new();
    let registry = OddRegistry::start(|_, _| None);
    let target = registry.reference("slim:one");
    scene.build(&target, &["--fail-if", "compressed > 1B"]).fails(3, &["nothing was pushed"]);
    assert_eq!(registry.open_uploads(), 0, "a build that is refused");
    scene.build(&target, &[]).done();
    assert_eq!(registry.open_uploads(), 0, "a build");
    scene.build(&target, &[]).done();
    assert_eq!(registry.open_uploads(), 0, "a build that pushes nothing new");
    scene.sandbox.winslim(&["copy", &target, &registry.reference("slim:two")]).done();
    assert_eq!(registry.open_uploads(), 0, "a copy");
    // Mounts become uploads here, and each of them takes its blob.
    let away = OddRegistry::start(|request, _| {
        let is_new = request.target.contains("/new/") && request.method == "HEAD" && request.target.contains("/blobs/");
        is_new.then(|| Response::new(404, ""))
    });
    let base = away.reference("base:one");
    scene.sandbox.winslim(&["copy", &scene.base, &base]).done();
    let target = away.reference("new/slim:one");
    scene.sandbox.winslim(&["build", &base, "-p", &scene.profile, "-t", &target]).done();
    assert!(away.requests().iter().any(|request| request.target.contains("mount=")), "something was to be mounted");
    assert_eq!(away.open_uploads(), 0, "a build that mounts");
}

#[test]
fn an_upload_that_cannot_be_given_up_takes_the_first_blob() {
    let scene = Scene::new();
    for forgets in [false, true] {
        let registry = OddRegistry::start(move |request, _| {
            let first = request.method == "PUT" && request.target.contains("/uploads/0?");
            match request.method.as_str() {
                "DELETE" => Some(Response::new(405, "")),
                // By the time that the blob is there, it does not know the upload any more.
                _ if forgets && first => Some(Response::new(404, r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#)),
                _ => None,
            }
        });
        scene.build(&registry.reference("slim:one"), &[]).done();
        let count =
            |wanted: &dyn Fn(&Request) -> bool| registry.requests().iter().filter(|request| wanted(request)).count();
        let sent = count(&|request| request.method == "PUT" && request.target.contains("/uploads/"));
        assert_eq!(count(&begins), sent, "each upload is used");
        assert_eq!(registry.open_uploads(), usize::from(forgets));
    }
}

#[test]
fn a_registry_that_begins_no_uploads_may_have_everything() {
    let scene = Scene::new();
    let registry = OddRegistry::start(|request, _| {
        let refused =
            begins(request) && request.header("user-agent").contains("winslim") && request.target.contains("/ro/");
        refused.then(|| Response::new(405, ""))
    });
    let one = registry.reference("ro-not/slim:one");
    scene.sandbox.winslim(&["copy", &scene.base, &one]).done();
    // All blobs are there, under any name of a repository.
    scene.sandbox.winslim(&["copy", &one, &registry.reference("ro/slim:one")]).done();
}
