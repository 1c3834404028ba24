//! The instruction set that all contestants are held to, and what each of them says it uses.

use std::ffi::OsStr;
use std::fmt;
use std::process::{Command, Stdio};

use clap::ValueEnum;

use super::{named, root};

/// Instruction sets, the plainest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Simd {
    /// What every processor of its kind has: SSE2, and for PyTorch's oneDNN SSE4.1
    Portable,
    /// 256-bit vectors with fused multiply-add
    Avx2,
    /// 512-bit vectors
    Avx512,
}

impl fmt::Display for Simd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        named(self, f)
    }
}

impl Simd {
    /// What this machine has.
    pub(super) fn available() -> Vec<Self> {
        Self::value_variants().iter().copied().filter(|simd| simd.is_available()).collect()
    }

    /// The same question that `zoo-kernels` asks.
    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// What holds a contestant to it: the zoo's variable, and those of what PyTorch computes with, which are ATen's
    /// own loops, oneDNN and MKL. (MKL obeys on Intel's processors only.)
    fn variables(self) -> [(&'static str, &'static str); 4] {
        let [zoo, aten, onednn, mkl] = match self {
            Self::Portable => ["portable", "default", "SSE41", "SSE4_2"],
            Self::Avx2 => ["avx2", "avx2", "AVX2", "AVX2"],
            Self::Avx512 => ["avx512", "avx512", "AVX512_CORE", "AVX512"],
        };
        [
            ("ZOO_SIMD", zoo),
            ("ATEN_CPU_CAPABILITY", aten),
            ("ONEDNN_MAX_CPU_ISA", onednn),
            ("MKL_ENABLE_INSTRUCTIONS", mkl),
        ]
    }

    /// Why it can't be had here, as a sentence, if it can't.
    pub(super) fn refusal(self) -> Option<String> {
        let available = Self::available();
        (!available.contains(&self)).then(|| {
            let names: Vec<_> = available.iter().map(Self::to_string).collect();
            format!(
                "this machine has no {self}: give --simd {}, or leave it out for the best there is",
                names.join(" or ")
            )
        })
    }
}

/// Holds what `command` will run to `simd`, or to nothing.
pub(super) fn hold(command: &mut Command, simd: Option<Simd>) {
    if let Some(simd) = simd {
        command.envs(simd.variables());
    }
}

/// What PyTorch says that it uses under these variables: ATen's loops and oneDNN. `None` if it can't be asked.
pub(super) fn of_pytorch(python: &OsStr, simd: Option<Simd>) -> Option<String> {
    let mut command = Command::new(python);
    command.arg(root().join("benches/peers/step.py")).arg("simd");
    command.env("ONEDNN_VERBOSE", "1").stdin(Stdio::null()).stderr(Stdio::null());
    hold(&mut command, simd);
    said(&String::from_utf8_lossy(&command.output().ok()?.stdout))
}

/// The two from `step.py`'s answer: oneDNN tells its own in a line of its log, as do its kernels' names.
fn said(text: &str) -> Option<String> {
    let onednn = text.lines().find_map(|line| line.split_once(",cpu,isa:")).map(|(_, isa)| isa.trim());
    let line: serde_json::Value = serde_json::from_str(text.lines().last()?).ok()?;
    let aten = line["aten"].as_str()?;
    Some(format!("ATen {aten}, oneDNN {}", onednn.unwrap_or("unused")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pytorchs_own_words_are_found() {
        let text = "onednn_verbose,v1,info,cpu,runtime:OpenMP,nthr:2\n\
                    onednn_verbose,v1,info,cpu,isa:Intel AVX2\n\
                    onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx2\n\
                    {\"aten\": \"AVX2\"}\n";
        assert_eq!(said(text).unwrap(), "ATen AVX2, oneDNN Intel AVX2");
        assert_eq!(said("{\"reason\": \"no torch\"}"), None);
        assert_eq!(said(""), None);
    }

    #[test]
    fn every_set_holds_all_libraries() {
        for simd in Simd::value_variants() {
            let mut command = Command::new("true");
            hold(&mut command, Some(*simd));
            let set: Vec<_> =
                command.get_envs().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
            let all = ["ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "ZOO_SIMD"];
            assert_eq!(set, all);
            assert_eq!(simd.variables()[0], ("ZOO_SIMD", simd.to_string().as_str()));
        }
        let mut command = Command::new("true");
        hold(&mut command, None);
        assert_eq!(command.get_envs().count(), 0);
    }

    #[test]
    fn what_the_machine_has_is_not_refused() {
        assert_eq!(Simd::Portable.refusal(), None);
        for simd in Simd::value_variants() {
            assert_eq!(simd.refusal().is_none(), Simd::available().contains(simd));
        }
    }
}
