//! The check of one chain, fed line by line.
//!
//! Called by `verify`. A broken link between two lines means that the first was changed or that the second's `prev`
//! was; the link after them tells which, so that a problem names the right line. Numbers tell what is missing, moved
//! or there twice. Invariant: whatever a line is blamed for, every later line is checked.

use super::super::head::HeadValue;
use super::super::key::PublicKey;
use super::super::line::{self, Checkpoint, GENESIS, Header, HexHash, Line, Recovery};
use super::super::segment::Segment;
use super::anchor::{Anchor, Answer};
use super::report::{ChainReport, Problem, RecoveryNote, What};
use std::io;

const MOST_PROBLEMS: usize = 1000;

/// Where a line stands.
#[derive(Clone, Default)]
struct At {
    file: String,
    line: u64,
    seq: u64,
}

/// A doubt that the next line settles.
enum Doubt {
    /// The link from the first to the second is broken: which of them was changed?
    Link(At, At),
    /// Its link is right and its number is too high: was the number changed, or were lines removed before it and the
    /// rest chained anew? With the number that was due.
    Number(At, u64),
}

/// Numbers that were passed over; a line that turns up later fills one.
struct Gap {
    first: u64,
    last: u64,
    at: At,
    filled: u64,
}

pub struct Check {
    report: ChainReport,
    key: PublicKey,
    anchor: Option<Anchor>,
    head: Option<HeadValue>,
    /// Hash of the line that has the head's number.
    at_head: Option<HexHash>,
    segment: u64,
    file: String,
    /// Number that is due, the hash that its `prev` must have, and where the line before it stands.
    due: u64,
    prev: HexHash,
    before: At,
    /// The line before was blamed, so that the next link is broken without saying more.
    excused: bool,
    /// Unreadable lines since the last good one.
    unreadable: bool,
    doubt: Option<Doubt>,
    gaps: Vec<Gap>,
    torn: Option<At>,
    unknown_key: bool,
    last_is_checkpoint: bool,
    failed: Option<io::Error>,
}

impl Check {
    pub fn new(
        node: &str,
        key: PublicKey,
        anchor: Option<Anchor>,
        head: Option<HeadValue>,
        live: bool,
    ) -> Self {
        Self {
            report: ChainReport { node: node.to_owned(), live, ..ChainReport::default() },
            key,
            anchor,
            head,
            at_head: None,
            segment: 0,
            file: String::new(),
            due: 1,
            prev: GENESIS,
            before: At::default(),
            excused: false,
            unreadable: false,
            doubt: None,
            gaps: Vec::new(),
            torn: None,
            unknown_key: false,
            last_is_checkpoint: false,
            failed: None,
        }
    }

    /// A segment begins.
    pub fn segment(&mut self, segment: &Segment) {
        self.report.segments += 1;
        self.report.bytes += segment.len;
        let missing = segment.number.saturating_sub(self.segment + 1);
        self.file = segment.name();
        if missing > 0 {
            self.settle(None);
            let first = super::super::segment::file_name(self.segment + 1);
            let at = At { file: first, line: 0, seq: 0 };
            self.problem(
                &at,
                What::SegmentMissing,
                format!("{missing} segment(s) before {} missing", self.file),
            );
            // What follows is checked by itself; its header says where it goes on.
            self.excused = true;
            self.unreadable = true;
        }
        self.segment = segment.number;
    }

    /// A whole line.
    pub fn line(&mut self, number: u64, bytes: &[u8]) {
        let Some(line) = Line::parse(bytes) else {
            self.unreadable(number, "not a line of a journal");
            return;
        };
        let hash = line::hash(bytes);
        let at = At { file: self.file.clone(), line: number, seq: line.seq };
        let linked = line.prev.as_bytes() == self.prev;
        if !linked
            && !self.unreadable
            && line.seq < self.due
            && !matches!(self.doubt, Some(Doubt::Number(..)))
        {
            self.out_of_place(&at);
            return;
        }
        self.settle(Some(linked));
        self.report.lines += 1;
        self.report.records += u64::from(line.is_record());
        let mut misnumbered = false;
        if self.unreadable {
            self.due = line.seq;
        } else if line.seq != self.due {
            misnumbered = self.number_jumps(&line, &at, linked, bytes);
        }
        let signed = self.content(&line, &at, bytes, linked);
        if !linked && !self.unreadable && !self.excused {
            match signed {
                // A signature that fits vouches for this line, so the one before is not what was signed.
                Some(true) => self.changed_before(),
                Some(false) => {}
                None => self.doubt = Some(Doubt::Link(self.before.clone(), at.clone())),
            }
        }
        self.excused = misnumbered || signed == Some(false);
        self.accept(&line, at, hash);
    }

    /// A line that cannot be understood. The lines after it are taken as they are: how many it stands for is unknown.
    pub fn unreadable(&mut self, number: u64, why: &str) {
        self.settle(None);
        if !self.unreadable {
            let at = At { file: self.file.clone(), line: number, seq: self.due };
            self.problem(&at, What::Changed, format!("{why}: it was changed or overwritten"));
        }
        self.unreadable = true;
    }

    /// Bytes without a newline at the end of a segment.
    pub fn partial(&mut self, number: u64, bytes: &[u8], last: bool) {
        let at = At { file: self.file.clone(), line: number, seq: self.due };
        if last {
            self.torn = Some(at);
        } else {
            self.problem(&at, What::Changed, "the last line of a closed segment has no end".to_owned());
            if Line::parse(bytes).is_some() {
                self.line(number, bytes);
            } else {
                self.unreadable = true;
            }
        }
    }

    /// The chain has ended.
    pub fn finish(mut self) -> io::Result<ChainReport> {
        let last = self.due - 1;
        let head_here = self.head.as_ref().filter(|head| head.seq == last);
        let fits = head_here.zip(self.at_head).map(|(head, hash)| head.hash.as_bytes() == hash);
        let doubted = self.doubt.is_some();
        // The head is the last line's next link.
        match &self.doubt {
            Some(Doubt::Link(..)) => self.settle(fits),
            Some(Doubt::Number(_, due)) => {
                let number_changed = self.head.as_ref().is_some_and(|head| head.seq == *due);
                self.settle(Some(!number_changed));
            }
            None => {}
        }
        self.check_head(doubted || self.excused);
        self.close_gaps();
        if let Some(anchor) = &mut self.anchor {
            anchor.pass_before(u64::MAX)?;
            if let Some((first, last_seq, count)) = anchor.absent {
                let problem = Problem {
                    seq: Some(first),
                    last_seq: Some(last_seq),
                    ..self.problem_at(
                        &At { file: "anchor".to_owned(), line: 0, seq: 0 },
                        What::AnchorMismatch,
                        format!("{count} checkpoint(s) of the anchor are not in the chain"),
                    )
                };
                self.push(problem);
            }
        }
        self.failed.map_or(Ok(self.report), Err)
    }

    // Not the number that is due, and not a line from before. Whether the line is to blame.
    fn number_jumps(&mut self, line: &Line<'_>, at: &At, linked: bool, bytes: &[u8]) -> bool {
        let lost = serde_json::from_slice::<Recovery>(bytes).ok().filter(|_| line.phase == "recovery");
        let lost = lost.and_then(|recovery| recovery.lost_from.zip(recovery.lost_to));
        if lost == Some((self.due, line.seq.saturating_sub(1))) {
            let problem = Problem {
                seq: Some(self.due),
                last_seq: Some(line.seq - 1),
                ..self.problem_at(
                    at,
                    What::Truncated,
                    "lines were missing when the chain was opened".to_owned(),
                )
            };
            self.push(problem);
            self.due = line.seq;
        } else if linked && line.seq > self.due {
            self.doubt = Some(Doubt::Number(at.clone(), self.due));
            self.due = line.seq;
        } else if linked {
            self.problem(at, What::Changed, format!("its number is {}, its place is {}", line.seq, self.due));
            return true;
        } else if line.seq > self.due {
            self.gap(self.due, at.clone());
            self.excused = true;
            self.due = line.seq;
        }
        false
    }

    fn out_of_place(&mut self, at: &At) {
        if let Some(gap) = self.gaps.iter_mut().find(|gap| (gap.first..=gap.last).contains(&at.seq)) {
            gap.filled += 1;
            self.report.lines += 1;
            self.run_on(at, What::Reordered, "it stands behind later lines");
        } else {
            self.run_on(at, What::Duplicate, "a line of this number was there before");
        }
    }

    // Neighbours with the same fate are one problem.
    fn run_on(&mut self, at: &At, what: What, detail: &str) {
        let next = Some(at.seq);
        match self.report.problems.last_mut() {
            Some(last) if last.what == what && last.last_seq.or(last.seq).map(|seq| seq + 1) == next => {
                last.last_seq = next;
            }
            _ => self.problem(at, what, detail.to_owned()),
        }
    }

    // What the line says of itself; for a checkpoint, whether its signature is right.
    fn content(&mut self, line: &Line<'_>, at: &At, bytes: &[u8], linked: bool) -> Option<bool> {
        match line.phase.as_ref() {
            "header" => self.header(at, bytes, linked),
            "checkpoint" => return Some(self.checkpoint(line, at, bytes)),
            "recovery" => {
                if self.report.recoveries.len() < MOST_PROBLEMS
                    && let Ok(recovery) = serde_json::from_slice(bytes)
                {
                    let (seq, time) = (line.seq, line.time.to_string());
                    self.report.recoveries.push(RecoveryNote { seq, time, recovery });
                }
            }
            _ => {}
        }
        None
    }

    fn header(&mut self, at: &At, bytes: &[u8], linked: bool) {
        let Ok(header) = serde_json::from_slice::<Header>(bytes) else {
            self.problem(at, What::Changed, "not a header".to_owned());
            return;
        };
        if header.format != line::FORMAT {
            self.problem(at, What::Changed, format!("format {} is not known", header.format));
        }
        // In a segment out of place, its lines tell.
        if header.segment != self.segment && linked {
            self.problem(at, What::Changed, format!("it is the header of segment {}", header.segment));
        }
        if header.node != self.report.node {
            self.problem(
                at,
                What::WrongNode,
                format!("it was written as a chain of {:?}", shown(&header.node)),
            );
        }
        if header.public_key != self.key.hex() {
            self.foreign(at, &header.public_key);
        }
    }

    fn checkpoint(&mut self, line: &Line<'_>, at: &At, bytes: &[u8]) -> bool {
        let parsed = serde_json::from_slice::<Checkpoint>(bytes).ok().zip(line::signed_text(bytes));
        let Some((checkpoint, text)) = parsed else {
            self.problem(at, What::BadSignature, "a checkpoint without a signature".to_owned());
            return false;
        };
        if let Some(anchor) = &mut self.anchor {
            match anchor.compare(line.seq, &line::hash(bytes)) {
                Ok(Answer::Same) => self.report.anchored += 1,
                Ok(Answer::Unknown) => {}
                Ok(Answer::Different) => {
                    self.problem(
                        at,
                        What::AnchorMismatch,
                        "the anchor has another checkpoint here".to_owned(),
                    );
                }
                Err(e) => self.failed = Some(e),
            }
        }
        if checkpoint.public_key != self.key.hex() {
            self.foreign(at, &checkpoint.public_key);
            return false;
        }
        if checkpoint.node != self.report.node {
            self.problem(at, What::WrongNode, format!("a checkpoint of {:?}", shown(&checkpoint.node)));
        }
        if !self.key.signed(text.as_bytes(), &checkpoint.signature) {
            self.problem(at, What::BadSignature, "the signature is not over this chain".to_owned());
            return false;
        }
        self.report.checkpoints += 1;
        true
    }

    // Told once: a chain written anew has it on every checkpoint.
    fn foreign(&mut self, at: &At, key: &str) {
        if !std::mem::replace(&mut self.unknown_key, true) {
            let key = shown(key);
            self.problem(at, What::UnknownKey, format!("signed with the key {key:?}, which is not trusted"));
        }
    }

    fn changed_before(&mut self) {
        let before = self.before.clone();
        self.problem(
            &before,
            What::Changed,
            "its content is not what the next line was chained to".to_owned(),
        );
    }

    // Whether the next line is linked to the one in doubt; `None` when there is none that tells.
    fn settle(&mut self, linked: Option<bool>) {
        match self.doubt.take() {
            Some(Doubt::Link(first, second)) => {
                let at = if linked == Some(false) {
                    self.excused = true;
                    second
                } else {
                    first
                };
                self.problem(&at, What::Changed, "its content is not what it is chained to".to_owned());
            }
            Some(Doubt::Number(at, due)) if linked == Some(false) => {
                self.problem(&at, What::Changed, format!("its number is {}, its place is {due}", at.seq));
                self.excused = true;
                self.due = due + 1;
            }
            Some(Doubt::Number(at, due)) => {
                self.gap(due, at);
            }
            None => {}
        }
    }

    fn gap(&mut self, first: u64, at: At) {
        if self.gaps.len() < MOST_PROBLEMS {
            self.gaps.push(Gap { first, last: at.seq - 1, at, filled: 0 });
        } else {
            self.report.more_problems += 1;
        }
    }

    fn accept(&mut self, line: &Line<'_>, at: At, hash: HexHash) {
        let report = &mut self.report;
        report.first_seq.get_or_insert(line.seq);
        report.last_seq = Some(line.seq);
        if report.first_time.is_none() {
            report.first_time = Some(line.time.to_string());
        }
        report.last_time = Some(line.time.to_string());
        self.last_is_checkpoint = line.phase == "checkpoint" && !self.excused;
        report.uncovered = if self.last_is_checkpoint { 0 } else { report.uncovered + 1 };
        if self.head.as_ref().is_some_and(|head| head.seq == line.seq) {
            self.at_head = Some(hash);
        }
        self.unreadable = false;
        self.due += 1;
        self.prev = hash;
        self.before = at;
    }

    fn check_head(&mut self, explained: bool) {
        let last = self.due - 1;
        let file = At { file: "head".to_owned(), line: 0, seq: last };
        let torn = self.torn.take();
        let Some(head) = self.head.clone() else {
            let detail = "the head file is missing or unreadable: lines may be missing at the end";
            self.problem(&file, What::HeadMismatch, detail.to_owned());
            return;
        };
        if let Some(at) = torn.as_ref().filter(|_| !self.report.live) {
            let known = if head.seq > last { "was written whole once" } else { "was never acknowledged" };
            self.problem(at, What::TornTail, format!("the last line is not whole; it {known}"));
        }
        // A torn line explains one number.
        let first = last + 1 + u64::from(torn.is_some() && !self.report.live);
        // An unreadable line may have been several.
        if head.seq >= first && !self.unreadable {
            let at = At { line: self.before.line, file: self.before.file.clone(), seq: first };
            let detail = "lines are missing at the end of the chain: the head file knows of them".to_owned();
            let problem =
                Problem { last_seq: Some(head.seq), ..self.problem_at(&at, What::Truncated, detail) };
            self.push(problem);
        }
        if self.at_head.is_some_and(|hash| head.hash.as_bytes() != hash) && !explained {
            if head.seq == last && !self.last_is_checkpoint {
                let before = self.before.clone();
                let detail = "the last line is not the one that the head file knows";
                self.problem(&before, What::Changed, detail.to_owned());
            } else if self.report.problems.is_empty() {
                let file = At { seq: head.seq, ..file };
                self.problem(&file, What::HeadMismatch, "its hash is not that of the line".to_owned());
            }
        }
    }

    fn close_gaps(&mut self) {
        for gap in std::mem::take(&mut self.gaps) {
            let missing = gap.last - gap.first + 1;
            if gap.filled < missing {
                let detail = format!("{} line(s) before it are missing", missing - gap.filled);
                let problem = Problem {
                    seq: Some(gap.first),
                    last_seq: Some(gap.last),
                    ..self.problem_at(&gap.at, What::Removed, detail)
                };
                self.push(problem);
            }
        }
    }

    fn problem_at(&self, at: &At, what: What, detail: String) -> Problem {
        Problem {
            chain: self.report.node.clone(),
            file: at.file.clone(),
            line: at.line,
            seq: (at.seq > 0).then_some(at.seq),
            last_seq: None,
            what,
            detail,
        }
    }

    fn problem(&mut self, at: &At, what: What, detail: String) {
        let problem = self.problem_at(at, what, detail);
        self.push(problem);
    }

    fn push(&mut self, problem: Problem) {
        if self.report.problems.len() < MOST_PROBLEMS {
            self.report.problems.push(problem);
        } else {
            self.report.more_problems += 1;
        }
    }
}

// What a file says, bounded, for a message.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
