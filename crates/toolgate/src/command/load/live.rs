//! What is seen of a run that is under way: one line that is redrawn on a terminal, a line every ten seconds elsewhere.
//!
//! Writes to standard error, so that the report alone is the output.

use crate::output::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use toolgate_ops::load::{Moment, Progress, Row};

const REDRAWN: Duration = Duration::from_millis(500);
const TOLD: Duration = Duration::from_secs(10);
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What shows it.
pub struct View {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl View {
    /// Shows nothing any more, and leaves no half line.
    pub async fn end(self) {
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

/// `length`: of the whole run, as far as it is known.
pub fn show(progress: Progress, length: Duration) -> View {
    let (end, mut ended) = oneshot::channel();
    let task = tokio::spawn(async move {
        let bar = std::io::stderr().is_terminal().then(bar);
        let mut tick = tokio::time::interval(if bar.is_some() { REDRAWN } else { TOLD });
        // The first is at once.
        tick.tick().await;
        loop {
            tokio::select! {
                _ = &mut ended => break,
                _ = tick.tick() => {}
            }
            let moment = progress.now();
            match &bar {
                Some(bar) => {
                    bar.set_message(format!("{}  {}", line(&moment, length), sparks(&moment.recent)))
                }
                None => say(line(&moment, length)),
            }
        }
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    });
    View { end, task }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
        bar.set_style(style);
    }
    bar
}

fn line(moment: &Moment, length: Duration) -> String {
    let row = moment.recent.last().cloned().unwrap_or_default();
    let rate = row.right as f64 / moment.width as f64;
    let ms = |share| row.at(share).map_or("-".to_owned(), |at| format!("{:.1}", at.as_secs_f64() * 1e3));
    let left = Duration::from_secs(length.saturating_sub(moment.elapsed).as_secs());
    format!(
        "{} left  {rate:.0}/s  p50 {} ms  p99 {} ms  {} calls  {} errors",
        clock(left),
        ms(0.5),
        ms(0.99),
        moment.total,
        moment.failed
    )
}

fn clock(left: Duration) -> String {
    let s = left.as_secs();
    if s >= 3600 {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

// Right answers of each row.
fn sparks(rows: &[Row]) -> String {
    let most = rows.iter().map(|row| row.right).max().unwrap_or(0).max(1);
    rows.iter().map(|row| BARS[(row.right * 7 / most) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_one_line() {
        let row = |right| Row { right, latency: vec![(2_000_000, right)], ..Row::default() };
        let moment = Moment {
            elapsed: Duration::from_secs(10),
            recent: vec![row(0), row(50), row(100)],
            width: 1,
            total: 150,
            failed: 3,
        };
        assert_eq!(
            line(&moment, Duration::from_secs(75)),
            "1:05 left  100/s  p50 2.0 ms  p99 2.0 ms  150 calls  3 errors"
        );
        assert_eq!(sparks(&moment.recent), "▁▄█");
    }
}
