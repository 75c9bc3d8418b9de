//! TLS with certificates of one's own, against a real registry over real sockets.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use winslim::transport::RegistryOptions;
use winslim::transport::registry::{Registry, Tls};

use super::faults::{Image, PATIENT, options};
use super::support::Sandbox;
use super::support::registry::DockerRegistry;
use super::{reference, store};

/// An authority, and what it has signed: a certificate for the loopback address and one for a client.
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    pub fn make() -> Certificates {
        let certificates = Certificates { directory: tempfile::tempdir().unwrap() };
        certificates.sign("ca", "authority of the test", "basicConstraints=critical,CA:TRUE", None);
        certificates.sign("server", "server of the test", "subjectAltName=IP:127.0.0.1", Some("ca"));
        certificates.sign("client", "client of the test", "extendedKeyUsage=clientAuth", Some("ca"));
        certificates
    }

    pub fn certificate(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.pem"))
    }

    pub fn key(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.key"))
    }

    pub fn registry(&self, with_clients: bool) -> DockerRegistry {
        let authority = self.certificate("ca");
        let clients = with_clients.then_some(authority.as_path());
        DockerRegistry::start_with_tls(&self.certificate("server"), &self.key("server"), clients)
    }

    fn sign(&self, name: &str, subject: &str, extension: &str, by: Option<&str>) {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        command.args(["-subj", &format!("/CN={subject}"), "-addext", extension]);
        if by.is_some() {
            command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        }
        command.arg("-keyout").arg(self.key(name)).arg("-out").arg(self.certificate(name));
        if let Some(by) = by {
            command.arg("-CA").arg(self.certificate(by)).arg("-CAkey").arg(self.key(by));
        }
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("this test needs the Debian package openssl").success(), "{command:?}");
    }
}

/// What the test says about TLS at one registry.
fn tls(registry: &str, authority: Option<&Path>, client: Option<(PathBuf, PathBuf)>) -> RegistryOptions {
    let mut options = options(PATIENT);
    options.tls.insert(registry.to_owned(), Tls { authority: authority.map(Path::to_owned), client });
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_ones_own_is_trusted() {
    let certificates = Certificates::make();
    let server = certificates.registry(false);
    let authority = certificates.certificate("ca");
    let target = reference(&server.address, "windows/app", "one");
    let image = Image::new("tls", 1 << 20);

    let strangers = Registry::new(&tls(&server.address, None, None)).unwrap();
    let text = image.push(&strangers, &target).await.unwrap_err().to_string();
    assert!(text.contains("its TLS certificate is not trusted") && text.contains("--ca FILE"), "{text}");

    let for_one = tls(&server.address, Some(&authority), None);
    let mut for_all = tls(&server.address, None, None);
    for_all.authorities.push(authority);
    for options in [for_one, for_all] {
        let registry = Registry::new(&options).unwrap();
        image.push(&registry, &target).await.unwrap();
        let (_directory, store) = store();
        image.pull(&registry, &target, &store).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown_where_it_is_wanted() {
    let certificates = Certificates::make();
    let server = certificates.registry(true);
    let authority = certificates.certificate("ca");
    let target = reference(&server.address, "windows/app", "one");
    let image = Image::new("client", 1000);

    let without = Registry::new(&tls(&server.address, Some(&authority), None)).unwrap();
    let text = image.push(&without, &target).await.unwrap_err().to_string();
    assert!(text.contains("client certificate") && text.contains("--client-cert"), "{text}");

    let client = (certificates.certificate("client"), certificates.key("client"));
    let with = Registry::new(&tls(&server.address, Some(&authority), Some(client))).unwrap();
    image.push(&with, &target).await.unwrap();
    let (_directory, store) = store();
    image.pull(&with, &target, &store).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_should_speak_tls_is_not_spoken_to_without() {
    let server = DockerRegistry::start();
    let registry = Registry::new(&tls(&server.address, None, None)).unwrap();
    let error = registry.document(&reference(&server.address, "x", "y")).await.unwrap_err().to_string();
    assert!(error.contains("it does not speak TLS"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_certificates_are_named() {
    let certificates = Certificates::make();
    let (key, missing) = (certificates.key("ca"), certificates.certificate("missing"));
    let address = "127.0.0.1:1";
    let document = async |options: RegistryOptions| {
        let registry = Registry::new(&options)?;
        registry.document(&reference(address, "x", "y")).await
    };
    let cases = [
        (tls(address, Some(&missing), None), vec!["cannot read `", "missing.pem", "no such file"]),
        (tls(address, Some(&key), None), vec!["ca.key", "holds no certificate"]),
        (tls(address, None, Some((key.clone(), key.clone()))), vec!["ca.key", "are not the PEM files"]),
        (RegistryOptions { authorities: vec![missing.clone()], ..options(PATIENT) }, vec!["missing.pem"]),
    ];
    for (options, words) in cases {
        let text = document(options).await.unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_mirrors_of_the_settings_are_used() {
    let certificates = Certificates::make();
    let server = certificates.registry(true);
    let client = (certificates.certificate("client"), certificates.key("client"));
    let authority = certificates.certificate("ca");
    let registry = Registry::new(&tls(&server.address, Some(&authority), Some(client))).unwrap();
    let image = Image::new("settings", 100_000);
    image.push(&registry, &reference(&server.address, "mcr/windows/base", "one")).await.unwrap();

    let sandbox = Sandbox::new();
    let settings = format!(
        "[[registry]]\nhost = \"registry.invalid\"\nmirrors = [\"{0}/mcr\"]\n\n[[registry]]\nhost = \"{0}\"\n\
         ca = \"ca.pem\"\nclient-cert = \"client.pem\"\nclient-key = \"client.key\"\n",
        server.address
    );
    let target = sandbox.layout("copy");
    let copy = ["copy", "registry.invalid/windows/base:one", &target];
    sandbox.file("home/.config/winslim/config.toml", &settings);
    sandbox.winslim(&copy).fails(1, &["home/.config/winslim/ca.pem"]);
    for file in ["ca.pem", "client.pem", "client.key"] {
        let from = certificates.certificate("ca").with_file_name(file);
        std::fs::copy(from, sandbox.path("home/.config/winslim").join(file)).unwrap();
    }
    sandbox.winslim(&copy).done();
    // The same without settings, from the command line.
    std::fs::remove_file(sandbox.path("home/.config/winslim/config.toml")).unwrap();
    let mirror = format!("registry.invalid={}/mcr", server.address);
    let outcome = sandbox.winslim(&[&copy[..], &["--mirror", &mirror, "-v"]].concat());
    outcome.fails(1, &["WARN", "the mirror failed", "registry.invalid cannot be reached"]);
    sandbox.file("home/.config/winslim/config.toml", "[[registry]]\nhots = \"a.example\"\n");
    sandbox.winslim(&copy).fails(2, &["config.toml", "unknown key `hots`; did you mean `host`?"]);
}
