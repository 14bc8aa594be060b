//! Deterministic chance and the mutations made of it.
//!
//! Used by `main`. The same seed gives the same inputs on every machine, so a finding is repeated by its seed alone; no
//! source of entropy is read here.

/// SplitMix64: small, and good enough to choose mutations.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// Bytes that mean something to a parser.
const BYTES: &[u8] =
    b"\0\t\n\r \"\\/,:[]{}0129-+.eEunulltrf\x0b\x0c\x1f\x7f\x80\xbf\xc3\xe2\xed\xef\xf4\xff=?";

/// Largest input made, in bytes.
const MAX_INPUT: usize = 4096;

/// One to six changes of `seed`; `other` is a second input to take pieces from, `words` what the format is made of.
pub fn mutate(random: &mut Random, seed: &[u8], other: &[u8], words: &[&str]) -> Vec<u8> {
    let mut out = seed.to_vec();
    for _ in 0..=random.below(6) {
        change(random, &mut out, other, words);
    }
    out.truncate(MAX_INPUT);
    out
}

fn change(random: &mut Random, out: &mut Vec<u8>, other: &[u8], words: &[&str]) {
    let at = random.below(out.len() + 1);
    let to = at + random.below((out.len() - at).min(32) + 1);
    match random.below(12) {
        0..=2 => {
            let word = random.pick(words).copied().unwrap_or_default();
            out.splice(at..at, word.bytes());
        }
        3 => {
            let word = random.pick(words).copied().unwrap_or_default();
            out.splice(at..to, word.bytes());
        }
        4 => {
            // A word in the place of another one that is there.
            let (old, new) = (random.below(words.len()), random.below(words.len()));
            let (old, new) = (words[old].as_bytes(), words[new].as_bytes());
            let places: Vec<usize> =
                (0..out.len()).filter(|&i| !old.is_empty() && out[i..].starts_with(old)).collect();
            if let Some(&i) = random.pick(&places) {
                out.splice(i..i + old.len(), new.iter().copied());
            }
        }
        5 => {
            out.drain(at..to);
        }
        6 => {
            let piece = out[at..to].to_vec();
            let times = if random.below(20) == 0 { 1 + random.below(100) } else { 1 };
            for _ in 0..times {
                out.splice(at..at, piece.iter().copied());
            }
        }
        7 => {
            let from = random.below(other.len() + 1);
            let until = from + random.below(other.len() - from + 1);
            out.splice(at..to, other[from..until].iter().copied());
        }
        8 => {
            if let Some(byte) = out.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        9 | 10 => {
            let byte = random.pick(BYTES).copied().unwrap_or_default();
            match out.get_mut(at) {
                Some(old) if random.below(2) == 0 => *old = byte,
                _ => out.insert(at, byte),
            }
        }
        _ => out.truncate(at),
    }
}
