//! A gzip encoder that compresses pieces side by side, as pigz does, and takes whole blocks over from another stream.
//!
//! What is written is cut every [`PIECE`] bytes, and where blocks are taken over. Each piece is compressed on its own, with
//! the 32 KiB before it as dictionary, and ended with a sync flush, so that the pieces stand behind each other in one
//! deflate stream. Where the cuts are depends neither on the number of threads nor on the sizes of the writes, and so
//! neither does the output. A piece that holds mostly what other blocks held is compressed with their matches
//! (`recode`).

use std::collections::VecDeque;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use flate2::{Compress, Compression, FlushCompress, Status};

use super::bits::BitOutput;
use super::blocks::{BlockMap, Span, Use};
use super::recode::{Hint, recode};
use super::source::Source;
use super::{WINDOW, member};
use crate::position::{BitPosition, RawPosition};

/// How many bytes are compressed as one piece.
pub const PIECE: usize = 256 << 10;

/// More threads than this gain nothing that a disk could keep up with, and each needs memory.
const MOST_THREADS: usize = 16;

/// A writer that turns data into one gzip member.
///
/// Finish it with [`GzipWriter::finish`]; dropping it leaves the output without an end.
pub struct GzipWriter<W: Write + Send + 'static> {
    /// What was written last, as far as the next piece may refer to it, and what is still to be compressed.
    pending: Vec<u8>,
    /// Where in `pending` that begins.
    start: usize,
    /// Where its tokens are, as far as it comes from somewhere.
    hints: Vec<Hint>,
    /// What is written next.
    awaited: Option<Awaited>,
    checksum: crc32fast::Hasher,
    length: u64,
    work: SyncSender<Job>,
    order: SyncSender<Part>,
    workers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<io::Result<W>>>,
}

/// A part of a source's data that is being written.
struct Awaited {
    source: Arc<Source>,
    /// What is still to come of it, in order; the first span may be under way.
    spans: VecDeque<Span>,
    /// Where in the source's data the next byte is.
    position: RawPosition,
}

impl Awaited {
    fn is_in_copied_blocks(&self) -> bool {
        self.spans.front().is_some_and(|span| span.blocks == Use::Copy && span.raw.start < self.position)
    }
}

/// The parts of the output, in order.
enum Part {
    Piece(Receiver<io::Result<Vec<u8>>>),
    Blocks { source: Arc<Source>, bits: Range<BitPosition> },
    End { checksum: u32, length: u64 },
}

struct Job {
    bytes: Vec<u8>,
    /// What stands before this in `bytes` is the dictionary.
    start: usize,
    hints: Vec<Hint>,
    result: Sender<io::Result<Vec<u8>>>,
}

impl<W: Write + Send + 'static> GzipWriter<W> {
    /// Begins a member on `output`, at a level from 0 (stored) to 9 (smallest), with so many threads that compress.
    pub fn new(output: W, level: u32, threads: usize) -> GzipWriter<W> {
        let threads = threads.clamp(1, MOST_THREADS);
        let level = Compression::new(level.min(9));
        let (work, jobs) = mpsc::sync_channel::<Job>(threads);
        let jobs = Arc::new(Mutex::new(jobs));
        let workers = (0..threads)
            .map(|_| {
                let jobs = Arc::clone(&jobs);
                thread::spawn(move || work_off(&jobs, level))
            })
            .collect();
        // As many parts may wait for an earlier one as there are threads, and no more, so that memory is bounded.
        let (order, parts) = mpsc::sync_channel(threads * 2);
        let writer = Some(thread::spawn(move || write_member(output, &parts)));
        GzipWriter {
            pending: Vec::with_capacity(WINDOW + PIECE),
            start: 0,
            hints: Vec::new(),
            awaited: None,
            checksum: crc32fast::Hasher::new(),
            length: 0,
            work,
            order,
            workers,
            writer,
        }
    }

    /// Announces that what is written next is this part of a source's data, so that its blocks can be copied, or their
    /// matches taken over.
    ///
    /// # Errors
    /// If what was announced before ends within blocks that are copied.
    pub fn expect(&mut self, source: &Arc<Source>, blocks: &BlockMap, part: Range<RawPosition>) -> io::Result<()> {
        self.check_whole()?;
        let (position, spans) = (part.start, blocks.spans(part).into());
        self.awaited = Some(Awaited { source: Arc::clone(source), spans, position });
        Ok(())
    }

    /// Compresses what is pending, writes the end of the member and gives the output back.
    ///
    /// # Errors
    /// If the output cannot be written, or what was announced ends within blocks that are copied.
    pub fn finish(mut self) -> io::Result<W> {
        self.check_whole()?;
        let (checksum, length) = (self.checksum.clone().finalize(), self.length);
        let sent = self.send_pending().and_then(|()| self.send(Part::End { checksum, length }));
        drop(self.work);
        drop(self.order);
        for worker in self.workers {
            join(worker);
        }
        // The writer's own failure is the cause of a failed sending, and says more.
        let output = match self.writer {
            Some(writer) => join(writer)?,
            None => return Err(gone()),
        };
        sent.map(|()| output)
    }

    /// Why the output could not be written, once a write has failed with [`io::ErrorKind::BrokenPipe`].
    pub fn failure(&mut self) -> Option<io::Error> {
        // Sending to the writer fails only when it has ended, so this does not wait.
        join(self.writer.take()?).err()
    }

    /// Writes data that is compressed, and returns how much of it.
    fn compress(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - (self.pending.len() - self.start));
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() - self.start == PIECE {
            self.send_pending()?;
        }
        Ok(taken)
    }

    /// Writes data at this position of a source's, which is compressed with the matches that it has there.
    fn compress_with_matches(
        &mut self,
        bytes: &[u8],
        span: &Span,
        position: RawPosition,
        source: Arc<Source>,
    ) -> io::Result<usize> {
        let at = self.pending.len();
        let length = bytes.len().min(PIECE - (at - self.start));
        match self.hints.last_mut() {
            // One that ends here is not of the same span if there is something else between them in the source.
            Some(hint) if hint.bytes.end == at && hint.end() == position && hint.has_blocks(&source, &span.bits) => {
                hint.bytes.end += length;
            }
            _ => {
                let (begin, bits) = (span.begin, span.bits.clone());
                self.hints.push(Hint { bytes: at..at + length, position, source, begin, bits });
            }
        }
        self.compress(&bytes[..length])
    }

    /// Passes over data whose blocks are copied; `left` bytes of it follow. Only the last of it can be referred to.
    fn pass_over(&mut self, bytes: &[u8], left: u64) {
        let before = usize::try_from(left).map_or(WINDOW, |left| left.min(WINDOW));
        let near = bytes.len().min(WINDOW - before);
        self.pending.extend_from_slice(&bytes[bytes.len() - near..]);
        if self.pending.len() > PIECE {
            self.forget();
        }
        self.start = self.pending.len();
    }

    /// Drops what nothing can refer to any more.
    fn forget(&mut self) {
        self.pending.drain(..self.pending.len().saturating_sub(WINDOW));
    }

    fn send_pending(&mut self) -> io::Result<()> {
        if self.pending.len() == self.start {
            return Ok(());
        }
        let mut next = Vec::with_capacity(WINDOW + PIECE);
        next.extend_from_slice(&self.pending[self.pending.len().saturating_sub(WINDOW)..]);
        let start = std::mem::replace(&mut self.start, next.len());
        let bytes = std::mem::replace(&mut self.pending, next);
        let hints = std::mem::take(&mut self.hints);
        let (result, receive) = mpsc::channel();
        self.send(Part::Piece(receive))?;
        self.work.send(Job { bytes, start, hints, result }).map_err(|_| gone())
    }

    fn send(&self, part: Part) -> io::Result<()> {
        self.order.send(part).map_err(|_| gone())
    }

    fn check_whole(&self) -> io::Result<()> {
        match &self.awaited {
            Some(awaited) if awaited.is_in_copied_blocks() => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the data of copied blocks was not written to their end",
            )),
            _ => Ok(()),
        }
    }
}

impl<W: Write + Send + 'static> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let next = self.awaited.as_ref().and_then(|awaited| awaited.spans.front().cloned().zip(Some(awaited)));
        let taken = match next {
            None => self.compress(bytes)?,
            Some((span, awaited)) => {
                let (position, source) = (awaited.position, Arc::clone(&awaited.source));
                let left = span.raw.end - position;
                let part = usize::try_from(left).map_or(bytes, |left| &bytes[..left.min(bytes.len())]);
                match span.blocks {
                    Use::Nothing => self.compress(part)?,
                    Use::Matches => self.compress_with_matches(part, &span, position, source)?,
                    Use::Copy => {
                        if position == span.raw.start {
                            self.send_pending()?;
                            self.send(Part::Blocks { source, bits: span.bits })?;
                        }
                        self.pass_over(part, left - part.len() as u64);
                        part.len()
                    }
                }
            }
        };
        if let Some(awaited) = &mut self.awaited {
            awaited.position += taken as u64;
            if awaited.spans.front().is_some_and(|span| span.raw.end == awaited.position) {
                awaited.spans.pop_front();
            }
        }
        self.checksum.update(&bytes[..taken]);
        self.length += taken as u64;
        Ok(taken)
    }

    /// Does nothing: where the cuts are must depend on the bytes alone.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn work_off(jobs: &Mutex<Receiver<Job>>, level: Compression) {
    loop {
        // A poisoned lock means that another worker panicked; its panic is passed on when it is joined.
        let Ok(job) = jobs.lock().map(|jobs| jobs.recv()) else { return };
        let Ok(job) = job else { return };
        // Nobody waits for the result when the writing failed.
        let _ = job.result.send(job.compress(level));
    }
}

impl Job {
    fn compress(&self, level: Compression) -> io::Result<Vec<u8>> {
        let hinted: usize = self.hints.iter().map(|hint| hint.bytes.len()).sum();
        if hinted * 2 >= self.bytes.len() - self.start
            && let Some(output) = recode(&self.bytes, self.start, &self.hints)?
        {
            return Ok(output);
        }
        let (dictionary, bytes) = self.bytes.split_at(self.start);
        compress(level, bytes, &dictionary[dictionary.len().saturating_sub(WINDOW)..])
    }
}

fn compress(level: Compression, bytes: &[u8], dictionary: &[u8]) -> io::Result<Vec<u8>> {
    // A compressor that is used again finds other matches behind a dictionary: it hashes the bytes that it held there before.
    let mut deflate = Compress::new(level, false);
    if !dictionary.is_empty() {
        deflate.set_dictionary(dictionary).map_err(io::Error::other)?;
    }
    let mut output = Vec::with_capacity(bytes.len() / 2 + 1024);
    loop {
        let taken = deflate.total_in() as usize;
        let status =
            deflate.compress_vec(&bytes[taken..], &mut output, FlushCompress::Sync).map_err(io::Error::other)?;
        // A sync flush is complete when it leaves room in the output.
        if deflate.total_in() as usize == bytes.len() && output.len() < output.capacity() && status != Status::StreamEnd
        {
            return Ok(output);
        }
        output.reserve(64 << 10);
    }
}

fn write_member<W: Write>(mut output: W, parts: &Receiver<Part>) -> io::Result<W> {
    member::write_header(&mut output)?;
    let mut bits = BitOutput::new(output);
    for part in parts {
        match part {
            // The worker is gone only if it panicked, which is passed on when it is joined.
            Part::Piece(result) => bits.write_aligned(&result.recv().map_err(|_| gone())??)?,
            Part::Blocks { source, bits: range } => bits.copy_blocks(&mut source.reader(range.start.byte()), &range)?,
            Part::End { checksum, length } => {
                let mut output = bits.finish()?;
                member::write_trailer(&mut output, checksum, length)?;
                return Ok(output);
            }
        }
    }
    // The other side gave up, and says why itself.
    Err(gone())
}

#[cfg(test)]
mod tests;
