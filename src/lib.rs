//! winslim makes Windows container base images smaller.
//!
//! It rewrites the layers of an image as declarative profiles say, without Windows, without a container engine and
//! without root. This is the library behind the program; it never prints.
//!
//! # The pipeline
//!
//! ```text
//! reference ─▶ pull ─▶ store ─▶ index ─▶ plan ─▶ rewrite ─▶ verify ─▶ push ─▶ record
//! ```
//!
//! An image is named by a [`transport::Reference`] and found by a [`transport::Source`], which brings its documents
//! ([`image`]) and its layer blobs into the [`store`]. One pass over a layer makes its [`layer::LayerIndex`]: every tar entry
//! with its name, kind, attributes and its exact span in the uncompressed tar. The index is kept on disk by the layer's
//! digest, and everything that only looks works on indexes.
//!
//! The layers of an image are looked at together as a [`layer::LayerStack`], which knows what each name is to Windows and
//! which names share one file. [`plan::plan`] is a pure function of it and of the rules of the [`profile`]s: it decides for
//! every entry whether it stays, goes, takes over the data of its link group or points to another name.
//! [`rewrite::rewrite()`] carries that out in one stream, in bounded memory: what stays is copied byte for byte.
//! What it gave is kept under a key of all that it depends on ([`rewrite::cache`]), so that nobody has to do it twice.
//!
//! [`verify::verify`] holds the result to the rules by which Windows hosts import layers; an image that breaks one is never
//! pushed. A [`transport::Target`] takes blobs first, documents next and the tag last, and the [`ledger`] records what was done.
//! A registry may take the blob of a finished layer while the next ones are rewritten: nothing leads to it before the end.
//!
//! # In a program
//!
//! ```
//! use winslim::engine::{self, Build, Cache, Job, Options, Session};
//! use winslim::{plan, profile, store::Store, transport::Reference};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let target = directory.path().join("small");
//! let session = Session::new(Store::open(directory.path().join("cache"))?);
//! let base: Reference = "oci:testdata/sample:ltsc2019".parse()?;
//! let rules = profile::load(&["safe"])?;
//!
//! // Index the layers, and decide what a build would do.
//! let image = engine::find(&base, None, &session).await?.index(None).await?;
//! let plan = plan::plan(&image.stack, &rules, &[])?;
//! assert!(plan.layers.iter().any(|layer| !layer.is_untouched()));
//!
//! // Do it, into another layout.
//! let found = engine::find(&base, None, &session).await?;
//! let cache = Cache::open(&[], None, true, &session)?;
//! let job = Job { found, rules: &rules, target: format!("oci:{}:ltsc2019", target.display()).parse()? };
//! let build = Build::make(vec![job], Options::default(), &cache, &session).await?;
//! let ledgers = build.deliver().await?.ledgers;
//!
//! // Read the record.
//! assert!(ledgers[0].totals.compressed_after < ledgers[0].totals.compressed_before);
//! assert!(target.join("index.json").is_file());
//! # Ok(())
//! # }
//! ```
//!
//! # The map
//!
//! * [`image`], [`layer`], [`numbered`], [`position`], [`error`], [`fault`], [`temporary`] and [`durable`] are the ground:
//!   documents, names, entries, indexes, numbers, positions, failures, files that do not stay, and files that survive a power cut.
//! * [`windows`], [`hive`], [`gzip`] know about Windows, registry hives and compressed streams, each on its own.
//! * [`store`] and [`transport`] do I/O and know nothing of layers' contents.
//! * [`inspect`] measures: where the bytes of an image are, which of them are dead, and what two images have different.
//! * [`profile`], [`plan`], [`verify`] and [`report`] decide and describe, without I/O but for reading profile files.
//! * [`build_file`] says what is to be built, and [`lock`] from what exactly it was built.
//! * [`rewrite`] turns a plan into blobs, on threads; only [`transport`], [`engine`] and [`commands`] are asynchronous.
//! * [`engine`] joins them: an image in, an image out.
//! * [`config`] reads the user's own settings.
//! * [`cli`], [`commands`], [`printer`], [`log`] and [`progress`] are the program: one file for each command.
//! * [`text`] makes what others wrote safe to show; everything that goes out passes through it.

pub mod build_file;
pub mod bytes;
pub mod cli;
pub mod commands;
pub mod config;
pub mod durable;
pub mod engine;
pub mod error;
pub mod fault;
pub mod gzip;
pub mod hive;
pub mod image;
pub mod inspect;
pub mod layer;
pub mod ledger;
pub mod lock;
pub mod log;
pub mod numbered;
pub mod plan;
pub mod position;
pub mod printer;
pub mod profile;
pub mod progress;
pub mod report;
pub mod rewrite;
pub mod store;
pub mod temporary;
pub mod text;
pub mod transport;
pub mod verify;
pub mod windows;
