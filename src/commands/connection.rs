//! How registries are spoken to, from the command line and the user's settings.

use std::io::{Read, stdin};
use std::path::Path;

use anyhow::{Context, Result};
use etcetera::BaseStrategy;

use super::failure::Usage;
use crate::cli::{self, Command};
use crate::config::Config;
use crate::transport::registry::{Login, Mirror, RegistryName, Tls};
use crate::transport::{Reference, RegistryOptions};

/// The most bytes of a password: some registries take a token of several kilobytes for one.
const MAX_PASSWORD: u64 = 64 << 10;

/// Joins what was typed with the user's settings; what was typed counts more.
///
/// A password is read from standard input when the command line says so.
pub(super) fn options(typed: &cli::Registries, command: &Command) -> Result<RegistryOptions> {
    let mut options = settings()?;
    options.plain_http.extend(typed.plain_http.iter().cloned());
    for host in typed.allow_host.iter().filter(|host| !host.is_empty()) {
        options.allowed_hosts.push(host.parse().map_err(|error| Usage(format!("--allow-host {host}: {error}")))?);
    }
    options.authorities.clone_from(&typed.ca);
    options.push_mode = typed.push_mode.parse().map_err(|error| Usage(format!("--push-mode: {error}")))?;
    // What was typed is asked first, in its order.
    for rule in typed.mirror.iter().filter(|rule| !rule.is_empty()).rev() {
        let (registry, mirror) = mirror(rule)?;
        options.mirrors.entry(registry).or_default().insert(0, mirror);
    }
    if let (Some(certificate), Some(key)) = (&typed.client_cert, &typed.client_key) {
        let registry = own_registry(command, "--client-cert")?;
        let tls: &mut Tls = options.tls.entry(registry).or_default();
        tls.client = Some((certificate.clone(), key.clone()));
    }
    if let Some(username) = &typed.username {
        let registry = own_registry(command, "--username")?;
        options.login = Some(Login { registry, username: username.clone(), password: password(command)? });
    }
    Ok(options)
}

/// What the user's settings say about registries.
fn settings() -> Result<RegistryOptions> {
    let mut options = RegistryOptions::default();
    // Without a home directory there are no settings.
    let Ok(strategy) = etcetera::choose_base_strategy() else { return Ok(options) };
    let config = Config::load(&strategy.config_dir().join("winslim").join("config.toml"))?;
    options.allowed_hosts = config.allowed_hosts;
    for registry in config.registries {
        let host = registry.host.to_string();
        if registry.plain_http == Some(true) {
            options.plain_http.push(host.clone());
        }
        let client = registry.client_cert.zip(registry.client_key);
        if registry.plain_http == Some(false) || registry.ca.is_some() || client.is_some() {
            options.tls.insert(host.clone(), Tls { authority: registry.ca, client });
        }
        options.mirrors.entry(host).or_default().extend(registry.mirrors);
    }
    Ok(options)
}

/// Reads `REGISTRY=MIRROR[/PREFIX]`.
fn mirror(rule: &str) -> Result<(String, Mirror), Usage> {
    let wrong = |problem: String| Usage(format!("--mirror {rule}: {problem}"));
    let (registry, mirror) = rule.split_once('=').ok_or_else(|| {
        wrong("it is not of the form REGISTRY=MIRROR, as in `mcr.microsoft.com=mirror.example.com/mcr`".to_owned())
    })?;
    let registry: RegistryName = registry.parse().map_err(|error| wrong(format!("{error}")))?;
    Ok((registry.to_string(), mirror.parse().map_err(|error| wrong(format!("{error}")))?))
}

/// The registry that a command is for: credentials that were typed are for it alone.
fn own_registry(command: &Command, option: &str) -> Result<String, Usage> {
    let images: Vec<&str> = match command {
        Command::Build(build) => build.target.iter().chain(&build.image).map(String::as_str).collect(),
        Command::Copy(copy) => vec![&copy.target, &copy.image.reference],
        Command::Plan(plan) => vec![&plan.image.reference],
        Command::Inspect(inspect) => vec![&inspect.image.reference],
        Command::Ls(list) => vec![&list.image.reference],
        Command::Verify(verify) => vec![&verify.image.reference],
        Command::Diff(diff) => vec![&diff.before, &diff.after],
        Command::Host(host) => host.image.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let registry = images.iter().find_map(|image| match image.parse() {
        Ok(Reference::Registry(name)) => Some(name.registry),
        _ => None,
    });
    registry.ok_or_else(|| Usage(format!("{option} is for an image in a registry, and this command has none")))
}

/// Reads the password from standard input; the line's end does not belong to it.
fn password(command: &Command) -> Result<String> {
    if let Command::Host(host) = command
        && host.hosts.nodes.as_deref() == Some(Path::new("-"))
    {
        return Err(Usage(
            "--nodes - and --password-stdin both read standard input; give the nodes as a file".to_owned(),
        )
        .into());
    }
    let mut text = String::new();
    stdin().take(MAX_PASSWORD).read_to_string(&mut text).context("cannot read the password from standard input")?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(Usage("--password-stdin: there is no password on standard input".to_owned()).into());
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn parsed(arguments: &[&str]) -> Cli {
        Cli::try_parse_from([&["winslim"], arguments].concat()).unwrap()
    }

    #[test]
    fn credentials_are_for_the_registry_of_the_target_first() {
        let cases: [(&[&str], Option<&str>); 5] = [
            (&["copy", "a.example/x", "b.example/y"], Some("b.example")),
            (&["copy", "a.example/x", "oci:y"], Some("a.example")),
            (&["inspect", "a.example/x"], Some("a.example")),
            (&["inspect", "oci:x"], None),
            (&["profile", "list"], None),
        ];
        for (arguments, registry) in cases {
            assert_eq!(
                own_registry(&parsed(arguments).command, "--username").ok().as_deref(),
                registry,
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn a_mirror_rule_names_both_sides() {
        let (registry, there) = mirror("mcr.microsoft.com=localhost:5000/mcr").unwrap();
        assert_eq!((registry.as_str(), there.registry.as_str()), ("mcr.microsoft.com", "localhost:5000"));
        for wrong in
            ["mcr.microsoft.com", "=a.example", "https://a.example=b.example", "a.example=", "a.example/x=b.example"]
        {
            assert!(mirror(wrong).unwrap_err().to_string().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_was_typed_is_asked_first_in_its_order() {
        let cli = parsed(&["--mirror", "docker.io=a.example,docker.io=b.example/x", "inspect", "x"]);
        let options = options(&cli.global.registries, &cli.command).unwrap();
        let order: Vec<&str> = options.mirrors["docker.io"].iter().map(|mirror| mirror.registry.as_str()).collect();
        assert_eq!(order[..2], ["a.example", "b.example"]);
    }
}
