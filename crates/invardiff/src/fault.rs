//! Panics as errors.
//!
//! What runs on a graphics card fails by a panic where it fails below the tensors: a missing compiler, no more memory. Here
//! that becomes one error with the words of the panic that came first, and nothing else is printed. A panic of this program
//! is shown as usual and becomes an error too.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex, PoisonError};

/// Crates below the tensors: where one of them panics, the device or its driver has failed.
const BELOW: [&str; 7] =
    ["/cubecl-", "/cubek-", "/burn-cubecl-", "/burn-fusion-", "/cudarc-", "/wgpu-", "/naga-"];

/// The most characters of a driver's message that are repeated.
const LONGEST: usize = 600;

/// What stopped some work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the first panic said.
    message: String,
    /// Where it was: file and line.
    place: String,
}

impl Fault {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let message = info.payload_as_str().unwrap_or("a panic without a message").to_owned();
        Self { message, place: place.unwrap_or_default() }
    }

    fn of_device(&self) -> bool {
        let place = self.place.replace('\\', "/");
        BELOW.iter().any(|name| place.contains(name))
    }

    /// One line: what failed, and what can be done about it where that is known.
    fn message(&self) -> String {
        if !self.of_device() {
            return format!("a fault of this program: {} ({})", in_one_line(&self.message), self.place);
        }
        let message = in_one_line(&self.message);
        match advice(&message) {
            Some(advice) => format!("the device failed: {message}; {advice}"),
            None => format!("the device failed: {message}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl Error for Fault {}

/// Runs `work`; a panic, its own or of a thread that it waits for, is an error.
///
/// # Errors
/// The first panic.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Fault> {
    let seen = Arc::new(Mutex::new(Vec::<Fault>::new()));
    let usual: Arc<dyn Fn(&PanicHookInfo<'_>) + Send + Sync> = take_hook().into();
    let (noted, shown) = (seen.clone(), usual.clone());
    set_hook(Box::new(move |info| {
        let fault = Fault::of(info);
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        // After a device has failed, those who wait for it panic too.
        let follows = noted.first().is_some_and(Fault::of_device);
        if !follows && !fault.of_device() {
            shown(info);
        }
        noted.push(fault);
    }));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    set_hook(Box::new(move |info| usual(info)));
    outcome.map_err(|payload| {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.first().cloned().unwrap_or_else(|| Fault { message: said(&*payload), place: String::new() })
    })
}

/// What a panic carries.
fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}

/// An error with its causes, in one line; a cause that the error before it quotes already is left out.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    with_causes_as(error, ToString::to_string)
}

/// [`with_causes`], with each error in the words of `say`.
pub fn with_causes_as(
    error: &(dyn Error + 'static),
    say: impl Fn(&(dyn Error + 'static)) -> String,
) -> String {
    let mut message = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let cause = say(error);
        if message.is_empty() {
            message = cause;
        } else if !message.ends_with(&cause) {
            message = format!("{message}: {cause}");
        }
        next = error.source();
    }
    message
}

/// A message without its line breaks and the trace behind it.
pub fn in_one_line(message: &str) -> String {
    let said = message.split("BACKTRACE").next().unwrap_or_default();
    let words: Vec<&str> = said.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ..", &line[..end]),
        None => line,
    }
}

/// What can be done about a message of a driver or its compiler.
fn advice(message: &str) -> Option<&'static str> {
    let low = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| low.contains(word));
    if has(&["out of memory", "outofmemory", "buffertoobig", "buffer too big", "too large to allocate"]) {
        Some("draw fewer images at once (batch size, runs), or take the dtype bf16 or f16")
    } else if has(&["nvrtc"]) {
        Some("NVRTC of CUDA 12 or 13 (libnvrtc.so) must be where libraries are looked for (LD_LIBRARY_PATH)")
    } else if has(&["cuda installation not found"]) {
        Some("set CUDA_PATH to a folder with include/cuda_runtime.h")
    } else {
        None
    }
}

/// There is one hook for panics in a process: tests that panic take turns.
#[cfg(test)]
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(message: &str, place: &str) -> Fault {
        Fault { message: message.into(), place: place.into() }
    }

    #[test]
    fn work_that_ends_well_is_what_it_returns() {
        let _turn = alone();
        assert_eq!(caught(|| 7), Ok(7));
    }

    #[test]
    fn a_panic_becomes_an_error_with_its_place() {
        let _turn = alone();
        let message = caught(|| panic!("no\n  such thing")).unwrap_err().to_string();
        assert!(message.starts_with("a fault of this program: no such thing (crates/"), "{message}");
        assert!(message.contains("fault.rs:"), "{message}");
        let message = caught(|| std::thread::scope(|scope| drop(scope.spawn(|| panic!("elsewhere")))));
        assert!(message.unwrap_err().to_string().contains("elsewhere"));
    }

    #[test]
    fn a_panic_below_the_tensors_is_the_devices() {
        let message =
            fault("Out of memory: 4 GiB", "/r/cubecl-cuda-0.11.3/src/compute/storage/gpu.rs:215").to_string();
        assert!(message.starts_with("the device failed: Out of memory: 4 GiB; draw fewer"), "{message}");
        let message = fault("lost", "C:\\r\\wgpu-core-30.0.1\\src\\device.rs:1").to_string();
        assert_eq!(message, "the device failed: lost");
        let place = "/r/cudarc-0.19.10/src/lib.rs:1";
        assert!(fault("no libnvrtc.so", place).to_string().contains("LD_LIBRARY_PATH"));
        assert!(fault("CUDA installation not found", place).to_string().contains("CUDA_PATH"));
    }

    #[test]
    fn a_long_message_is_cut_and_a_trace_left_out() {
        assert_eq!(in_one_line("a\n  b  BACKTRACE\n 0: main"), "a b");
        let cut = in_one_line(&"word ".repeat(LONGEST));
        assert!(cut.len() < LONGEST + 4 && cut.ends_with(" .."), "{cut}");
    }
}
