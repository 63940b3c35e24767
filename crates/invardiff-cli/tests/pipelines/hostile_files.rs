//! Files that were made to take memory, time or the terminal: the program, under a limit of address space, ends with one clear error or
//! the right result, and takes little memory. Linux alone: memory is read from `/proc`.

mod cases;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::names;
use cases::{CASES, Case, Ends};

/// The limit of address space, in KiB: the review's files took up to all memory of a machine. What the allocator reserves without
/// using it counts here, so the limit is far above what is resident.
const ADDRESSES: &str = "4000000";
/// The most resident memory in bytes.
const RESIDENT: u64 = 200 << 20;
/// How long a program may run before it is killed: a second is usual, and machines of tests are slow.
const KILLED: Duration = Duration::from_mins(1);

/// What a program came to.
struct Run {
    code: Option<i32>,
    printed: String,
    said: String,
    /// The most resident memory that was seen, in bytes.
    peak: u64,
    time: Duration,
}

/// Runs the program under the limit, and looks at its memory every millisecond.
fn run(folder: &Path, args: &[&str]) -> Run {
    let outside = tempfile::tempdir().unwrap();
    let (printed, said) = (outside.path().join("out"), outside.path().join("err"));
    let to = |path: &Path| Stdio::from(fs::File::create(path).unwrap());
    let limited = format!("ulimit -v {ADDRESSES} && exec \"$0\" \"$@\"");
    let mut child = Command::new("sh");
    child.args(["-c", &limited, env!("CARGO_BIN_EXE_invardiff")]).args(args).current_dir(folder);
    child.env("HF_HOME", folder.join("no-home")).env("HF_HUB_OFFLINE", "1");
    let began = Instant::now();
    let mut child = child.stdin(Stdio::null()).stdout(to(&printed)).stderr(to(&said)).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        let status = fs::read_to_string(&status).unwrap_or_default();
        let high = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak = high.map_or(peak, |kibibytes: u64| peak.max(kibibytes << 10));
        if began.elapsed() > KILLED {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let text = |path: &Path| String::from_utf8(fs::read(path).unwrap()).unwrap();
    Run { code: ended.code(), printed: text(&printed), said: text(&said), peak, time: began.elapsed() }
}

/// Characters that act on a terminal.
fn acts(text: &str) -> bool {
    text.chars().any(|c| {
        c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

/// What is wrong with how a case ends.
fn check(case: &Case) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    (case.make)(folder.path());
    let before = names(folder.path());
    let args: Vec<&str> = case.args.split(' ').collect();
    let Run { code, printed, said, peak, time } = run(folder.path(), &args);
    let (ms, mib) = (time.as_millis(), peak >> 20);
    println!("{:4} {ms:>5} ms {mib:>4} MiB  {}", case.finding, case.args);
    let as_expected = match case.ends {
        Ends::Error(expected) => {
            let one = said.matches("error: ").count() == 1 && said.contains(expected);
            code == Some(1) && printed.is_empty() && one && names(folder.path()) == before
        }
        Ends::Well(expected) => code == Some(0) && printed.contains(expected),
    };
    let little = peak > 0 && peak <= RESIDENT;
    let fault = !as_expected || !little || acts(&printed) || acts(&said);
    fault.then(|| {
        format!("{} ({}): {code:?}, {mib} MiB, printed '{printed}', said '{said}'", case.finding, case.args)
    })
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "memory is read from /proc")]
fn end_in_one_error_or_the_right_result_within_little_memory() {
    // Without training there is no reader of data sets.
    let there = |case: &&Case| cfg!(feature = "autodiff") || !case.args.starts_with("train-");
    let faults: Vec<String> = CASES.iter().filter(there).filter_map(check).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
