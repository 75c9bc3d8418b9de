//! What was typed: the command line's types and help texts, and nothing else.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::windows::host::Version;

/// Make Windows container base images smaller.
///
/// winslim pulls the layers of an image, rewrites them as profiles say, checks that a Windows host would import the result,
/// and pushes it. It needs no Windows, no container engine and no root.
#[derive(Debug, Parser)]
#[command(name = "winslim", version, max_term_width = 100)]
#[command(after_help = "IMAGE and TARGET are a registry reference (mcr.microsoft.com/windows/servercore:ltsc2019), \
    oci:DIRECTORY[:TAG], oci-archive:FILE[:TAG] or, to read from, docker-archive:FILE.\n\
    Exit codes: 0 done, 1 failed, 2 usage or profile error, 3 a condition was not met, 4 something is not as locked, \
    5 a Windows host would not import the image.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
}

impl Cli {
    /// Parses the command line. A variable of the environment that is empty counts as not set.
    pub fn of_process() -> Cli {
        let matches = without_empty_variables(Cli::command()).get_matches();
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    let without = |argument: Arg| {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        if argument.get_env().is_some_and(is_empty) { argument.env(Resettable::Reset) } else { argument }
    };
    command.mut_args(without).mut_subcommands(without_empty_variables)
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Keep blobs and layer indexes in this directory [default: `winslim` in the user's cache directory]
    #[arg(long, global = true, value_name = "DIRECTORY", env = "WINSLIM_CACHE_DIR", help_heading = "Global options")]
    pub cache_dir: Option<PathBuf>,
    /// Let a layer unpack to SIZE, as in `40GB` [default: 1,100 times its compressed size, and 1 GiB]
    #[arg(long, global = true, value_name = "SIZE", help_heading = "Global options")]
    pub max_unpacked: Option<String>,
    /// Let profiles and build files name files in this directory too, and not only in their own and in the working directory;
    /// may be given several times
    #[arg(long, global = true, value_name = "DIRECTORY", help_heading = "Global options")]
    pub allow_path: Vec<PathBuf>,
    /// Say nothing but errors, and the result
    #[arg(short, long, global = true, help_heading = "Global options", conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say what is being done, and every request to a registry
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Show no progress bars, even on a terminal
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_progress: bool,
    /// How what is said on standard error is written
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t = LogFormat::Text,
        env = "WINSLIM_LOG_FORMAT",
        help_heading = "Global options"
    )]
    pub log_format: LogFormat,
    /// How registries are spoken to.
    #[command(flatten)]
    pub registries: Registries,
}

/// How registries are spoken to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for registries")]
pub struct Registries {
    /// Speak plain HTTP with this registry (HOST or HOST:PORT); loopback addresses always do
    #[arg(long, global = true, value_name = "HOST")]
    pub plain_http: Vec<String>,
    /// Let a registry or a manifest name this host (HOST or HOST:PORT), although its address is less public than theirs
    #[arg(long, global = true, value_name = "HOST", value_delimiter = ',', env = "WINSLIM_ALLOW_HOST")]
    pub allow_host: Vec<String>,
    /// Pull what is in REGISTRY from MIRROR first; may be given several times, or several with commas
    #[arg(long, global = true, value_name = "REGISTRY=MIRROR[/PREFIX]", value_delimiter = ',', env = "WINSLIM_MIRROR")]
    pub mirror: Vec<String>,
    /// Trust the certificate authorities in this PEM file, besides those of the system
    #[arg(long, global = true, value_name = "FILE", env = "WINSLIM_CA")]
    pub ca: Vec<PathBuf>,
    /// Show this client certificate, a PEM file, to the registry of the target, or else of the image
    #[arg(long, global = true, value_name = "FILE", requires = "client_key", env = "WINSLIM_CLIENT_CERT")]
    pub client_cert: Option<PathBuf>,
    /// The key of the client certificate, a PEM file
    #[arg(long, global = true, value_name = "FILE", requires = "client_cert", env = "WINSLIM_CLIENT_KEY")]
    pub client_key: Option<PathBuf>,
    /// Log in with this name at the registry of the target, or else of the image
    #[arg(long, global = true, value_name = "NAME", requires = "password_stdin")]
    pub username: Option<String>,
    /// Read the password for --username from standard input
    #[arg(long, global = true, requires = "username")]
    pub password_stdin: bool,
    /// How blobs are sent: auto, monolithic, chunked or chunked:SIZE; auto is what the registry is known to like
    #[arg(long, global = true, value_name = "MODE", default_value = "auto", env = "WINSLIM_PUSH_MODE")]
    pub push_mode: String,
}

/// How what is said on standard error is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// For programs: one JSON object in each line
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Slim an image, or the images of a build file, and push the result
    Build(Build),
    /// Write a build file to begin with
    Init(Init),
    /// Pin the tags in a build file, or say what moved since
    Lock(Lock),
    /// Say what a build would do, and rewrite nothing
    Plan(Plan),
    /// Show where the bytes of an image are
    Inspect(Inspect),
    /// List the files of an image
    Ls(List),
    /// Show what two images have different
    Diff(Diff),
    /// Check whether a Windows host would import an image
    Verify(Verify),
    /// Say on which Windows hosts an image runs, or which base images fit hosts
    Host(Host),
    /// Copy an image as it is between registry, layout and archive
    Copy(Copy),
    /// Look at, prune and check the cache of blobs and layer indexes
    #[command(subcommand)]
    Cache(Cache),
    /// List, show and check profiles
    #[command(subcommand)]
    Profile(Profile),
    /// Print the JSON Schema of a report
    Schema {
        /// The command whose JSON it describes
        #[arg(value_enum)]
        report: Schema,
    },
    /// Print the completion script for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page, in roff
    Man,
    /// Print the version
    Version,
}

/// Which image, and which of several behind one tag.
#[derive(Debug, Args)]
pub struct Image {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub reference: String,
    /// Which image to take when a tag has several: windows/amd64[:10.0.BUILD[.REVISION]], 10.0.BUILD, BUILD or a release such
    /// as ltsc2022
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
}

/// Arguments of `build`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  winslim build mcr.microsoft.com/windows/servercore:ltsc2019 -p balanced -t registry.example.com/base/servercore:ltsc2019\n  \
    winslim init && winslim build\n\n\
    Without IMAGE, winslim.toml says what is built; options override it. winslim.lock beside it pins what its tags, profiles and \
    added files are: a build writes it, and later builds take the pinned images even if tags have moved (`winslim lock --update` \
    follows them). With --locked nothing may differ from it.\n\n\
    The result (REPOSITORY@DIGEST) alone goes to standard output; everything else goes to standard error.\n\n\
    A layer that was rewritten before in the same way, by the same version of winslim, is not rewritten again: its result is in \
    the cache directory, or in a repository of --cache-from. What such a repository says of layers is not computed again, so \
    trust it as you trust the profiles. With --verify full nothing is taken from either."
)]
pub struct Build {
    /// The base image; without one, winslim.toml says what is built
    #[arg(value_name = "IMAGE", requires = "profiles", requires = "target")]
    pub image: Option<String>,
    /// Which image to take when a tag has several: windows/amd64[:10.0.BUILD[.REVISION]], 10.0.BUILD, BUILD or a release such
    /// as ltsc2022
    #[arg(long, value_name = "PLATFORM", requires = "image")]
    pub platform: Option<String>,
    /// Read this build file [default: winslim.toml]
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    pub file: Option<PathBuf>,
    /// Exit with 4 and build nothing if anything is not as winslim.lock says
    #[arg(long, conflicts_with = "image")]
    pub locked: bool,
    /// A profile: the name of a built-in one, or a file; may be given several times
    #[arg(short, long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// Where the result goes
    #[arg(short, long, value_name = "TARGET")]
    pub target: Option<String>,
    /// Exit with 3 and push nothing if this holds for the result; may be given several times. `inspect --help` tells of conditions
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<String>,
    /// Write the ledger, the record of this build, into this file as JSON
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Write a summary of this build into this file as Markdown, as CI systems show it
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Write a report on this build into this file as a page for a browser
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Add the result to the index that the target's tag leads to: images for other versions of Windows stay. Two builds must not
    /// add to one tag at the same moment
    #[arg(long)]
    pub append: bool,
    /// In a registry, give each image a tag of its own as well, such as TAG-windows-17763, so that jobs that delete untagged
    /// manifests keep the images of an index
    #[arg(long)]
    pub tag_children: bool,
    /// Do not attach the ledger to the pushed image
    #[arg(long)]
    pub no_attach: bool,
    /// Compress new layers with this [default: what the layer has now; gzip for a plain one]
    #[arg(long, value_enum)]
    pub compression: Option<CompressionFormat>,
    /// Level of what is compressed anew: 0 to 9 for gzip [default: 6], 1 to 22 for zstd [default: 3]
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<u32>,
    /// Compress rewritten layers as a whole, instead of copying the compressed data of what did not change
    #[arg(long)]
    pub recompress: bool,
    /// Take layers that were rewritten before from this repository (REGISTRY/REPOSITORY); may be given several times
    #[arg(long, value_name = "REPOSITORY")]
    pub cache_from: Vec<String>,
    /// Put rewritten layers and layer indexes into this repository, for builds on other machines
    #[arg(long, value_name = "REPOSITORY")]
    pub cache_to: Option<String>,
    /// How new layers are checked before they are pushed [default: quick]
    #[arg(long, value_enum, value_name = "EXTENT")]
    pub verify: Option<Verification>,
    /// How many threads compress; the result does not depend on it [default: one for each processor]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

/// Formats for rewritten layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompressionFormat {
    /// Read by every container engine
    Gzip,
    /// Smaller and faster, but old engines cannot read it
    Zstd,
}

/// How new layers are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Verification {
    /// As they are written: tar, checksums, sizes and the rules of Windows hosts
    Quick,
    /// Made anew, whatever caches have, and read back with another decoder, too
    Full,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Write it here; a file that is there stays as it is
    #[arg(long, value_name = "FILE", default_value = "winslim.toml")]
    pub file: PathBuf,
}

/// Arguments of `lock`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without an option, the lock is written: what is locked stays so, and the rest is looked up. Layers are not pulled.\n\n\
    Examples:\n  winslim lock --check --format markdown\n  winslim lock --update mcr.microsoft.com/windows/servercore:ltsc2019"
)]
pub struct Lock {
    /// Read this build file; the lock is beside it, with the ending `.lock`
    #[arg(long, value_name = "FILE", default_value = "winslim.toml")]
    pub file: PathBuf,
    /// Say what is different now, and write nothing; exit with 4 if anything is
    #[arg(long, conflicts_with = "update")]
    pub check: bool,
    /// Follow the tags of these images of the build file, or of all
    #[arg(long, value_name = "IMAGE", num_args = 0..)]
    pub update: Option<Vec<String>>,
    /// How to print what is different.
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// The base image.
    #[command(flatten)]
    pub image: Image,
    /// A profile: the name of a built-in one, or a file; may be given several times
    #[arg(short, long = "profile", value_name = "PROFILE", required = true)]
    pub profiles: Vec<String>,
    /// How to print it.
    #[command(flatten)]
    pub output: PageOutput,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Sizes: `unpacked` counts each file once, where its data is stored; `compressed` is where its bytes lie in \
    the compressed layers; `dead` is what a layer above replaces or deletes.\n\n\
    Conditions compare compressed, unpacked, files, dead, growth (with --against), efficiency or user-wasted with a number: \
    'compressed > 1.6GB', 'dead > 5%', 'growth >= 100MB'."
)]
pub struct Inspect {
    /// The image.
    #[command(flatten)]
    pub image: Image,
    /// What a row is
    #[arg(long, value_enum, default_value_t = By::Component)]
    pub by: By,
    /// With --by directory: how many levels deep
    #[arg(long, value_name = "LEVELS", default_value_t = 2)]
    pub depth: usize,
    /// Show so many rows, and the others as one; 0 shows all
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub top: usize,
    /// Only this layer; 0 is the base layer
    #[arg(long, value_name = "NUMBER")]
    pub layer: Option<u32>,
    /// Exit with 3 if this holds; may be given several times
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<String>,
    /// The image that `growth` compares with
    #[arg(long, value_name = "IMAGE")]
    pub against: Option<String>,
    /// Exit with 3 if a rule of this .dive-ci file is broken
    #[arg(long, value_name = "FILE")]
    pub dive_ci: Option<PathBuf>,
    /// How to print it.
    #[command(flatten)]
    pub output: PageOutput,
}

/// What the rows of `inspect` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// A layer
    Layer,
    /// A part of Windows
    Component,
    /// A directory with all below it
    Directory,
    /// Files whose names end alike
    Extension,
    /// One file
    File,
}

/// Arguments of `ls`.
#[derive(Debug, Args)]
#[command(
    after_help = "The first column is the kind (- file, d directory, h hard link, l symbolic link, j junction, s stream, w whiteout) \
    and the attributes read-only, hidden, system and archive. `names` is how many names the file has. `hidden` is the layer that \
    replaces or deletes the name; in parentheses when another name still needs the data.\n\n\
    Example:\n  winslim ls oci:image 'Windows\\System32\\drivers'"
)]
pub struct List {
    /// The image.
    #[command(flatten)]
    pub image: Image,
    /// Only what these patterns match, with all below it; patterns are those of profiles
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<String>,
    /// How to print it.
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The first image
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// The second image
    #[arg(value_name = "AFTER")]
    pub after: String,
    /// Which image to take when a tag has several: windows/amd64[:10.0.BUILD[.REVISION]], 10.0.BUILD, BUILD or a release such
    /// as ltsc2022, of both
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// The same for BEFORE alone
    #[arg(long, value_name = "PLATFORM")]
    pub platform_before: Option<String>,
    /// The same for AFTER alone
    #[arg(long, value_name = "PLATFORM")]
    pub platform_after: Option<String>,
    /// Exit with 1 if containers see a difference
    #[arg(long)]
    pub exit_code: bool,
    /// Show so many components and files of each kind; 0 shows all. JSON always has all
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub top: usize,
    /// How to print it.
    #[command(flatten)]
    pub output: Output,
}

/// Reports whose JSON has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Schema {
    /// What `inspect --format json` prints
    Inspect,
    /// What `ls --format json` prints
    Ls,
    /// What `diff --format json` prints
    Diff,
    /// What `host --format json` prints
    Host,
    /// What `lock --format json` prints
    Lock,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --platform, every image for Windows that the tag has is checked.\n\nExit codes: 0 a Windows host would \
    import every image that was checked, 5 it would not."
)]
pub struct Verify {
    /// The image.
    #[command(flatten)]
    pub image: Image,
    /// How to print it.
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `host`.
#[derive(Debug, Args)]
#[command(
    after_help = "`process` and `Hyper-V` are the kinds of isolation; `takes` is the image that the engine takes from the tag's index. \
    Only documents are read, no layer is pulled.\n\n\
    Examples:\n  winslim host mcr.microsoft.com/windows/servercore:ltsc2019 --build 10.0.17763.737\n  \
    kubectl get nodes -o json | winslim host registry.example.com/app:1 --nodes - --check\n  \
    kubectl get nodes -o wide | winslim host --nodes -"
)]
pub struct Host {
    /// The image; without one, the tags of Microsoft's base images are held against the hosts
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// The hosts.
    #[command(flatten)]
    pub hosts: Hosts,
    /// Exit with 3 if a host does not run the image with the isolation it has by default: process on servers, Hyper-V on
    /// Windows 10 and 11, or if the version of a Windows node is not known
    #[arg(long, requires = "image", conflicts_with = "all")]
    pub check: bool,
    /// How to print it.
    #[command(flatten)]
    pub output: Output,
}

/// Which hosts are asked about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Hosts {
    /// A host with this version of Windows: 10.0.BUILD or, better, 10.0.BUILD.REVISION
    #[arg(long, value_name = "VERSION")]
    pub build: Option<Version>,
    /// The nodes in this file, written by `kubectl get nodes -o json` or `-o wide`; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub nodes: Option<PathBuf>,
    /// Every version of Windows that containers run on
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `copy`.
#[derive(Debug, Args)]
#[command(
    after_help = "The tag is copied as it is: its index with the images for all platforms and their attestations, under the same \
    digest, and what refers to them, such as ledgers. With --platform one image is copied, as a manifest without an index.\n\n\
    Blobs that the target has, or that its registry can mount, are not pulled.\n\n\
    Example:\n  winslim copy registry.example.com/base/servercore:candidate registry.example.com/base/servercore:stable"
)]
pub struct Copy {
    /// The image.
    #[command(flatten)]
    pub image: Image,
    /// Where it goes
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Make foreign layers plain ones, for registries that refuse them; this changes the digest
    #[arg(long)]
    pub distributable: bool,
}

/// How to print a report.
#[derive(Debug, Args)]
pub struct Output {
    /// The format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Write it into this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How to print a report that can be a page for a browser.
#[derive(Debug, Args)]
pub struct PageOutput {
    /// The format
    #[arg(long, value_enum, default_value_t = PageFormat::Text)]
    pub format: PageFormat,
    /// Write it into this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Formats of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For the summary of a CI job
    Markdown,
}

/// Formats of reports that can be pages for a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PageFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For the summary of a CI job
    Markdown,
    /// For a browser: a page in one file
    Html,
}

/// Verbs on the cache.
#[derive(Debug, Subcommand)]
pub enum Cache {
    /// Say where the cache is and what is in it
    Info {
        /// How to print it.
        #[command(flatten)]
        output: Output,
    },
    /// Delete what was not used for long, or what is too much
    Prune(Prune),
    /// Check every blob and index against its digest, and delete what is damaged; exit with 1 if anything is
    Verify {
        /// How to print it.
        #[command(flatten)]
        output: Output,
    },
}

/// Arguments of `cache prune`.
#[derive(Debug, Args)]
#[command(
    after_help = "What other runs of winslim are using stays. What is deleted is fetched or made anew when it is needed.\n\n\
    With oci:DIRECTORY, an OCI image layout is cleaned instead: blobs that nothing in its index.json leads to are deleted. \
    Nothing is made anew there.\n\n\
    Examples:\n  winslim cache prune --older-than 30d --max-size 20GB\n  winslim cache prune --max-size 0\n  \
    winslim cache prune oci:images --dry-run"
)]
#[group(id = "limits", required = true, multiple = true, args = ["layout", "older_than", "max_size"])]
pub struct Prune {
    /// Clean this layout (oci:DIRECTORY) instead of the cache
    #[arg(value_name = "LAYOUT", conflicts_with_all = ["older_than", "max_size"])]
    pub layout: Option<String>,
    /// Delete what was not used for so long: 30d, 12h
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Delete the least recently used until no more than this is left: 20GB, 500MiB, 0
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<String>,
    /// Delete nothing, only show what would be deleted
    #[arg(long)]
    pub dry_run: bool,
    /// How to print it.
    #[command(flatten)]
    pub output: Output,
}

/// Verbs on profiles.
#[derive(Debug, Subcommand)]
pub enum Profile {
    /// List the built-in profiles
    List,
    /// Show a profile: its source, or with --resolved every rule that it comes to
    Show {
        /// The name of a built-in profile, or a file
        profile: String,
        /// Show every rule, those of included profiles too
        #[arg(long)]
        resolved: bool,
    },
    /// Check profiles for mistakes
    Check {
        /// Names of built-in profiles, or files
        #[arg(required = true)]
        profiles: Vec<String>,
    },
    /// Print the JSON Schema of the profile format
    Schema,
}
