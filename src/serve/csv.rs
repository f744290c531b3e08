//! Samples as text for spreadsheets. Pure.

use std::fmt::Write as _;

use super::samples::{Sample, Series};

const HEAD: &str = "time,namespace,name,phase,rows_copied,rows_per_second,keys_applied,backlog,\
                    stream_lag_seconds,replica_lag_seconds,throttled\n";

/// A line for each sample, below a line of names. Signals are parted by blanks.
pub(super) fn text(all: &[Series]) -> String {
    let mut text = HEAD.to_owned();
    for series in all {
        let name = format!("{},{}", cell(&series.namespace), cell(&series.name));
        for sample in &series.samples {
            line(&mut text, &name, sample);
        }
    }
    text
}

fn line(text: &mut String, name: &str, sample: &Sample) {
    let lag = |lag: Option<f64>| lag.map(|lag| format!("{lag:.3}")).unwrap_or_default();
    // Writing into a text does not fail.
    let _ = writeln!(
        text,
        "{},{name},{},{},{:.1},{},{},{},{},{}",
        sample.at,
        cell(&sample.phase),
        sample.rows_copied,
        sample.rows_per_second,
        sample.keys_applied,
        sample.backlog,
        lag(sample.stream_lag),
        lag(sample.replica_lag),
        cell(&sample.throttled.join(" ")),
    );
}

/// A text as one cell. What a spreadsheet would take for a formula gets a quotation mark in front.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    let text = format!("{guard}{text}");
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn samples_become_lines() {
        let sample = Sample {
            at: Timestamp::UNIX_EPOCH,
            phase: "RowCopy".to_owned(),
            rows_copied: 10,
            rows_per_second: 2.55,
            keys_applied: 3,
            backlog: 4,
            stream_lag: Some(0.0201),
            replica_lag: None,
            throttled: vec!["maxLoad".to_owned(), "niceRatio".to_owned()],
        };
        let series =
            Series { namespace: "shop".to_owned(), name: "one".to_owned(), samples: vec![sample] };
        let lines: Vec<String> = text(&[series]).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[1],
            "1970-01-01T00:00:00Z,shop,one,RowCopy,10,2.5,3,4,0.020,,maxLoad niceRatio"
        );
    }

    #[test]
    fn hostile_names_stay_in_their_cell() {
        let cases = [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("=1+1", "'=1+1"),
            ("@x,\n", "\"'@x,\n\""),
        ];
        for (text, expected) in cases {
            assert_eq!(cell(text), expected);
        }
    }
}
