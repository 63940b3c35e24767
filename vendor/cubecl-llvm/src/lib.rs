//! Stands in for the LLVM code generator of CubeCL: it has the names that `cubecl-cuda` 0.11 needs to compile, and every
//! request to compile a kernel is an error. `cubecl-cuda` with its feature `cpp` compiles kernels by NVRTC and makes no such
//! request. See the README beside the manifest.
#![forbid(unsafe_code)]

use core::fmt;

use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::compiler::{CompilationError, Compiler};
use cubecl_runtime::kernel::BufferIOAttr;

/// NVIDIA's assembly.
pub mod nvptx {
    /// Its versions.
    pub mod ptx_version {
        /// A version, known by the driver that reads it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(i32);

        impl PtxVersion {
            /// The version for a driver.
            pub fn for_driver(driver: i32) -> Option<Self> {
                Some(Self(driver))
            }
        }

        impl core::fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "ptx of driver {}", self.0)
            }
        }
    }
}

/// What targets have in common.
pub mod shared {
    /// What a target cannot do.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// A target.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA's.
            Nvptx,
        }

        /// Takes nothing away: no kernel is compiled here.
        pub fn restrict_features(_: &mut DeviceProperties, _: GpuTarget) {}
    }
}

/// A target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA's.
    Nvptx,
}

/// A compiled module; none is ever made.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// The assembly, with a zero at its end.
    pub ptx: Vec<core::ffi::c_char>,
    /// The kernel's name in it.
    pub entrypoint: String,
    /// What it was made from.
    pub ir: String,
    /// Shared memory in bytes.
    pub shared_memory_size: usize,
    /// Its buffers.
    pub io: Vec<BufferIOAttr>,
}

/// What compiling gives.
#[derive(Clone)]
pub enum PlironArtifact {
    /// A module.
    NvptxCode(NvptxModule),
    /// Nothing.
    Unsupported,
}

impl fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no code: built without LLVM")
    }
}

/// How to compile.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// Unused.
    pub arch: Option<()>,
    /// The card's architecture.
    pub sm_arch: Option<SmArch>,
    /// The assembly's version.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Unused.
    pub grid_constants: bool,
}

/// The compiler that is not there.
#[derive(Clone, Debug)]
pub struct PlironCompiler {
    /// For which target.
    pub target: LlvmTarget,
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(&mut self, _: KernelDefinition, _: &PlironOptions) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this program was built without LLVM; cubecl-cuda's feature `cpp` compiles with NVRTC instead".into(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
