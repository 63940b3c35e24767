//! How much memory a device has.

use std::path::Path;

use super::backend::GpuBackend;
use super::found::{DeviceKind, Found};

/// Bytes of memory of the machine, where the system says (Linux).
pub fn of_machine() -> Option<u64> {
    total(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// Bytes of memory that the device can have, where that can be learned: for graphics that share the machine's memory, all
/// of it.
pub fn of(found: &Found) -> Option<u64> {
    match (found.backend, found.kind) {
        (GpuBackend::Cuda, _) => of_cuda(found.index),
        (_, DeviceKind::Software | DeviceKind::Integrated | DeviceKind::Processor) => of_machine(),
        (_, DeviceKind::Discrete | DeviceKind::Virtual | DeviceKind::Other) => of_card(found),
    }
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(feature = "cuda")]
fn of_cuda(index: usize) -> Option<u64> {
    let context = cudarc::driver::CudaContext::new(index).ok()?;
    context.total_mem().ok().map(|bytes| bytes as u64)
}

#[cfg(not(feature = "cuda"))]
fn of_cuda(_: usize) -> Option<u64> {
    None
}

/// As the kernel's driver tells it by the card's address (amdgpu does).
fn of_card(found: &Found) -> Option<u64> {
    read(&Path::new("/sys/bus/pci/devices").join(address(found)?).join("mem_info_vram_total"))
}

/// The card's place in the machine, such as `0000:01:00.0`.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn address(found: &Found) -> Option<String> {
    Some(found.device.identity()?.physical?.pci_address?.to_string())
}

#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
fn address(_: &Found) -> Option<String> {
    None
}

fn read(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read_from_the_systems_list() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       2048 kB\n"), Some(2 << 20));
        assert_eq!((total("MemFree: 1 kB\n"), total("MemTotal: many\n")), (None, None));
        if cfg!(target_os = "linux") {
            assert!(of_machine().unwrap() > 1 << 28);
        }
    }

    #[test]
    fn a_cards_memory_is_a_number_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mem_info_vram_total");
        std::fs::write(&file, "17163091968\n").unwrap();
        assert_eq!(read(&file), Some(17_163_091_968));
        assert_eq!(read(folder.path()), None);
    }
}
