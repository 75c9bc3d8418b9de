//! The edited tar: what stays is copied byte for byte, and only the entries that the plan changes are made anew.

use std::collections::VecDeque;
use std::iter::{Peekable, Zip};
use std::ops::Range;
use std::slice::Iter;

use super::spool::Part;
use super::{LayerWriter, RewriteError, Spool};
use crate::layer::header::{self, HeaderEdit};
use crate::layer::{Entry, EntryId, EntryNumber, LayerIndex, LayerNumber, LayerStack};
use crate::numbered::{NumberRange, NumberedVec};
use crate::plan::{OutputPlan, Step};
use crate::position::RawPosition;

/// Edits a layer's tar as it streams by.
pub(super) struct Editor<'a> {
    stack: &'a LayerStack,
    index: &'a LayerIndex,
    /// What becomes of each entry; `None` if it goes.
    steps: NumberedVec<EntryNumber, Option<Step>>,
    layer: LayerNumber,
    is_last: bool,
    /// The parts of the tar that stay as they are and were not announced to the writer yet.
    kept: VecDeque<Range<RawPosition>>,
    /// Which entries are set aside for others.
    set_aside: NumberedVec<EntryNumber, bool>,
    /// The entry that the stream is in, and those that are still to come.
    entries: Peekable<Zip<NumberRange<EntryNumber>, Iter<'a, Entry>>>,
    position: RawPosition,
    /// The headers of an entry that changes, as far as they have come.
    headers: Vec<u8>,
}

impl<'a> Editor<'a> {
    /// An editor for one source of a layer of the result. `set_aside` are the entries of the source that others take over.
    /// `is_last` says that nothing follows, so that the mark of the archive's end does.
    pub(super) fn new(
        stack: &'a LayerStack,
        output: &OutputPlan,
        layer: LayerNumber,
        set_aside: &[EntryNumber],
        is_last: bool,
    ) -> Editor<'a> {
        let index = &*stack.layers()[layer];
        let mut steps = index.entries.same_length(None);
        for step in output.steps_of(layer) {
            steps[step.entry().entry] = Some(step);
        }
        Editor {
            stack,
            index,
            layer,
            kept: kept_parts(index, &steps, is_last),
            is_last,
            steps,
            set_aside: with_streams(index, set_aside),
            entries: index.entries.numbered().peekable(),
            position: RawPosition::START,
            headers: Vec::new(),
        }
    }

    /// The parts of the tar that the editor can do without.
    pub(super) fn unneeded(&self) -> VecDeque<Range<RawPosition>> {
        let goes = |number| self.steps[number].is_none() && !self.set_aside[number];
        parts(self.index, goes).collect()
    }

    /// Goes on at a later place: what is before it was left out, because it is not needed.
    pub(super) fn skip_to(&mut self, position: RawPosition) {
        while self.entries.next_if(|(_, entry)| entry.end() <= position).is_some() {}
        self.position = position;
    }

    /// Takes the next bytes of the tar and writes what becomes of them.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        spool: &mut Spool,
        writer: &mut LayerWriter,
    ) -> Result<(), RewriteError> {
        while !bytes.is_empty() {
            self.announce(spool, writer)?;
            let Some(&(number, entry)) = self.entries.peek() else {
                // The mark of the archive's end, and padding. What else some tools put there, hosts do not look at.
                self.position += bytes.len() as u64;
                return if self.keeps_end() { Ok(writer.write(bytes)?) } else { Ok(()) };
            };
            if self.position == entry.start && self.set_aside[number] {
                let id = EntryId::new(self.layer, number);
                spool.begin(id, entry.data - entry.start, entry.end() - entry.data);
            }
            let in_headers = self.position < entry.data;
            let until = if in_headers { entry.data } else { entry.end() };
            let taken = usize::try_from(until - self.position).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (part, rest) = bytes.split_at(taken);
            self.position += taken as u64;
            bytes = rest;
            if self.set_aside[number] {
                spool.append(part)?;
            }
            match self.steps[number] {
                None => {}
                Some(Step::Keep(_)) => writer.write(part)?,
                Some(step) if in_headers => {
                    self.headers.extend_from_slice(part);
                    if self.position == entry.data {
                        self.change(entry, step, spool, writer)?;
                        self.headers.clear();
                    }
                }
                // The data of an entry that changes comes from elsewhere.
                Some(_) => {}
            }
            if self.position == entry.end() {
                self.entries.next();
            }
        }
        Ok(())
    }

    /// Ends the entries of the source with the padding of the last one and, if nothing follows, ends the tar with a mark.
    pub(super) fn finish(&mut self, spool: &mut Spool, writer: &mut LayerWriter) -> Result<(), RewriteError> {
        let padding = missing_padding(self.index);
        self.feed(padding, spool, writer)?;
        if !self.is_last || (padding.is_empty() && self.keeps_end()) {
            return Ok(());
        }
        Ok(writer.write(&END_MARK)?)
    }

    /// Returns `true` if what follows the last entry stays.
    fn keeps_end(&self) -> bool {
        self.is_last && self.index.ends_in_zeros
    }

    /// Tells the writer of the part that stays as it is, if one begins here.
    fn announce(&mut self, spool: &Spool, writer: &mut LayerWriter) -> Result<(), RewriteError> {
        if self.kept.front().is_none_or(|part| part.start != self.position) {
            return Ok(());
        }
        if let (Some(part), Some(blob)) = (self.kept.pop_front(), spool.blob(self.layer)) {
            writer.expect(blob, &self.index.blocks, part)?;
        }
        Ok(())
    }

    /// Writes an entry that changes, now that its headers are there.
    fn change(
        &self,
        entry: &Entry,
        step: Step,
        spool: &mut Spool,
        writer: &mut LayerWriter,
    ) -> Result<(), RewriteError> {
        let wrong = |error| RewriteError::Header { path: entry.path.clone(), error };
        match step {
            Step::Retarget { target, .. } => {
                let link = self.stack.entry(target).path.as_str();
                let headers =
                    header::edit(&self.headers, HeaderEdit { path: None, link: Some(link) }).map_err(wrong)?;
                writer.write(&headers)?;
            }
            Step::Promote { from, .. } => {
                let owner = entry.path.as_str();
                self.write_from_spool(from, owner, spool, writer)?;
                let source = &self.stack.layers()[from.layer];
                for stream in source.streams_of(from.entry) {
                    let id = EntryId::new(from.layer, stream);
                    let name = source.entries[stream].path.file_name();
                    let suffix = name.find(':').map_or("", |colon| &name[colon..]);
                    self.write_from_spool(id, &format!("{owner}{suffix}"), spool, writer)?;
                }
            }
            Step::Keep(_) => {}
        }
        Ok(())
    }

    /// Writes an entry that was set aside, under another name.
    fn write_from_spool(
        &self,
        from: EntryId,
        path: &str,
        spool: &mut Spool,
        writer: &mut LayerWriter,
    ) -> Result<(), RewriteError> {
        let source = self.stack.entry(from);
        let blocks = &self.stack.layers()[from.layer].blocks;
        let blob = spool.blob(from.layer).cloned();
        let found = spool.read(from, |part| -> Result<(), RewriteError> {
            match part {
                Part::Headers(headers) => {
                    let headers = header::edit(headers, HeaderEdit { path: Some(path), link: None })
                        .map_err(|error| RewriteError::Header { path: source.path.clone(), error })?;
                    writer.write(&headers)?;
                    if let Some(blob) = &blob {
                        writer.expect(blob, blocks, source.data..source.end())?;
                    }
                }
                Part::Data(bytes) => writer.write(bytes)?,
            }
            Ok(())
        })?;
        if found { Ok(()) } else { Err(RewriteError::NotSetAside(source.path.clone())) }
    }
}

/// Two blocks of zeros end a tar.
const END_MARK: [u8; 2 * BLOCK_LENGTH] = [0; 2 * BLOCK_LENGTH];

/// The length of a block of a tar in bytes.
const BLOCK_LENGTH: usize = 512;

/// The padding that the tar of a layer lacks behind the data of its last entry.
pub(super) fn missing_padding(index: &LayerIndex) -> &'static [u8] {
    const PADDING: [u8; BLOCK_LENGTH] = [0; BLOCK_LENGTH];
    let missing = index.entries_end.saturating_sub(index.unpacked_size.into());
    PADDING.get(..usize::try_from(missing).unwrap_or(0)).unwrap_or_default()
}

/// For each entry of a layer whether it is one of these, or an alternate data stream of one.
pub(super) fn with_streams(index: &LayerIndex, entries: &[EntryNumber]) -> NumberedVec<EntryNumber, bool> {
    let mut chosen = index.entries.same_length(false);
    for &entry in entries {
        chosen[entry] = true;
        for stream in index.streams_of(entry) {
            chosen[stream] = true;
        }
    }
    chosen
}

/// The parts of a layer's tar that stay as they are, as long as they can be; in the last one, the mark of the archive's end, too.
fn kept_parts(
    index: &LayerIndex,
    steps: &NumberedVec<EntryNumber, Option<Step>>,
    is_last: bool,
) -> VecDeque<Range<RawPosition>> {
    let mut kept: VecDeque<_> = parts(index, |number| matches!(steps[number], Some(Step::Keep(_)))).collect();
    let end = index.entries_end..index.unpacked_size.into();
    if end.is_empty() || !index.ends_in_zeros || !is_last {
        return kept;
    }
    match kept.back_mut() {
        Some(last) if last.end == end.start => last.end = end.end,
        _ => kept.push_back(end),
    }
    kept
}

/// The parts of a layer's tar that consist of such entries, as long as they can be.
pub(super) fn parts(
    index: &LayerIndex,
    is_such: impl Fn(EntryNumber) -> bool,
) -> impl Iterator<Item = Range<RawPosition>> {
    let mut such = index.entries.numbered().filter(move |(number, _)| is_such(*number)).peekable();
    std::iter::from_fn(move || {
        let (_, first) = such.next()?;
        let mut part = first.start..first.end();
        while let Some((_, next)) = such.next_if(|(_, next)| next.start == part.end) {
            part.end = next.end();
        }
        Some(part)
    })
}
