//! The upstream over standard input and output: a message a line, one after the other.

use super::{Eras, reply};
use anyhow::Result;
use std::io::{BufRead, BufReader, Write};

pub fn serve(eras: Eras) -> Result<()> {
    let mut input = BufReader::with_capacity(256 << 10, std::io::stdin().lock());
    let mut output = std::io::stdout().lock();
    let mut line = Vec::new();
    // Answers of what came together leave together.
    let mut answers = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let body = reply(&line, eras).body;
        if !body.is_empty() {
            answers.extend_from_slice(&body);
            answers.push(b'\n');
        }
        if !input.buffer().contains(&b'\n') || answers.len() > 1 << 20 {
            output.write_all(&answers)?;
            output.flush()?;
            answers.clear();
        }
    }
}
