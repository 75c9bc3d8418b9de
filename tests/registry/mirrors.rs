//! Mirrors: asked first for pulls, never for pushes, and passed over when they fail.

use winslim::image::Digest;
use winslim::transport::registry::{Login, Registry, RegistryError};
use winslim::transport::{RegistryOptions, RegistryReference};

use super::fault::{ALWAYS, Fault, FaultProxy, fault};
use super::faults::{Image, PATIENT, check_store, options};
use super::http::{Response, Server};
use super::support::registry::{DockerRegistry, PASSWORD, USER};
use super::{reference, store};

/// A client for which `origin` has the mirror.
fn mirrored(origin: &str, mirror: &str) -> RegistryOptions {
    let mut options = options(PATIENT);
    options.mirrors.insert(origin.to_owned(), vec![mirror.parse().unwrap()]);
    options
}

async fn put(image: &Image, target: &RegistryReference) {
    image.push(&Registry::new(&options(PATIENT)).unwrap(), target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_asked_first_and_gets_no_pushes() {
    let (origin, mirror) = (DockerRegistry::start(), DockerRegistry::start());
    let image = Image::new("mirrored", 100_000);
    put(&image, &reference(&mirror.address, "mcr/windows/base", "one")).await;
    let origin_proxy = FaultProxy::start(&origin.address, &[]);
    let mirror_proxy = FaultProxy::start(&mirror.address, &[]);
    let name = reference(origin_proxy.address(), "windows/base", "one");
    let registry =
        Registry::new(&mirrored(origin_proxy.address(), &format!("{}/mcr", mirror_proxy.address()))).unwrap();
    let (directory, store) = store();
    image.pull(&registry, &name, &store).await.unwrap();
    registry.document(&name.at_digest(image.manifest.digest())).await.unwrap();
    assert_eq!(check_store(directory.path()), 1);
    assert!(origin_proxy.seen().is_empty());
    mirror_proxy.forget();
    image.push(&registry, &name).await.unwrap();
    assert!(mirror_proxy.seen().is_empty());
    assert_eq!(origin.tagged("windows/base", "one"), image.manifest.digest().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mirror_cannot_give_comes_from_the_registry_itself() {
    let (origin, mirror) = (DockerRegistry::start(), DockerRegistry::start());
    let image = Image::new("origin", 100_000);
    put(&image, &reference(&origin.address, "windows/base", "one")).await;
    put(&image, &reference(&mirror.address, "full/windows/base", "one")).await;
    let layer = Digest::of(&image.layer).to_string();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let wrong = FaultProxy::start(&mirror.address, &[fault(ALWAYS, "GET", layer.clone(), Fault::Flip(7))]);
    let broken = FaultProxy::start(&mirror.address, &[fault(ALWAYS, "GET", "", Fault::Answer(503, Vec::new(), ""))]);
    let part = FaultProxy::start(&mirror.address, &[fault(ALWAYS, "GET", layer.clone(), Fault::Cut(30_000))]);
    let cases = [
        ("empty", format!("{}/none", mirror.address)),
        ("not there", closed),
        ("wrong bytes", format!("{}/full", wrong.address())),
        ("broken", format!("{}/full", broken.address())),
        ("a part of a layer", format!("{}/full", part.address())),
    ];
    for (name, mirror) in cases {
        let proxy = FaultProxy::start(&origin.address, &[]);
        let registry = Registry::new(&mirrored(proxy.address(), &mirror)).unwrap();
        let (directory, store) = store();
        let source = reference(proxy.address(), "windows/base", "one");
        image.pull(&registry, &source, &store).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(check_store(directory.path()), 1, "{name}");
        if name == "a part of a layer" {
            let given: u64 =
                proxy.seen().iter().filter(|seen| seen.target.contains(&layer)).map(|seen| seen.given).sum();
            assert_eq!(given, 40_000, "only the rest comes from the registry itself");
        }
    }
    // When both fail, it is the registry's own failure that is told.
    let gone = reference(&origin.address, "windows/base", "two");
    let registry = Registry::new(&mirrored(&origin.address, &format!("{}/full", mirror.address))).unwrap();
    let error = registry.document(&gone).await.unwrap_err();
    assert!(matches!(&error, RegistryError::UnknownTag { repository, .. } if *repository == gone.name()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_cannot_be_reached_is_asked_once() {
    let origin = DockerRegistry::start();
    let image = Image::new("lost", 1000);
    put(&image, &reference(&origin.address, "windows/base", "one")).await;
    let mirror = FaultProxy::start(&origin.address, &[fault(ALWAYS, "GET", "", Fault::Cut(0))]);
    // The head of an answer comes, and never its body.
    let registry = Registry::new(&mirrored(&origin.address, mirror.address())).unwrap();
    let (_directory, store) = store();
    image.pull(&registry, &reference(&origin.address, "windows/base", "one"), &store).await.unwrap();
    let asked = mirror.seen().iter().filter(|seen| seen.target != "/v2/").count();
    assert_eq!(asked, 2, "the manifest twice, and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_never_gets_the_credentials_of_the_registry() {
    let origin = DockerRegistry::start_with_password();
    let login = Login { registry: origin.address.clone(), username: USER.to_owned(), password: PASSWORD.to_owned() };
    let mirror =
        Server::start(|_, _| Response::new(401, "").with("www-authenticate", r#"Basic realm="give it to me""#));
    let options = RegistryOptions { login: Some(login), ..mirrored(&origin.address, mirror.address()) };
    let registry = Registry::new(&options).unwrap();
    let image = Image::new("private", 1000);
    let name = reference(&origin.address, "windows/base", "one");
    image.push(&registry, &name).await.unwrap();
    let (_directory, store) = store();
    image.pull(&registry, &name, &store).await.unwrap();
    assert!(!mirror.requests().is_empty());
    assert!(mirror.requests().iter().all(|request| request.header("authorization").is_empty()));
}
