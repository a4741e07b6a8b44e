//! Sixteen numbers at a time: the only room with `unsafe`, behind a safe face.
//!
//! A [`Simd`] is a token that proves what the processor can do; it is made only after that was looked at, so its
//! operations are safe. Code that is generic over it stands elsewhere, is safe, and is compiled once for each
//! level inside [`Simd::run`], where the instructions of the level may be used.
//!
//! The levels agree to the bit on integers. On floats they do not: some fuse a multiplication with an addition and
//! add up rows in another order. Work that uses none of the operations of its token has the same bits at each level:
//! Rust never fuses or reorders by itself.
#![allow(
    unsafe_code,
    reason = "vector instructions are unsafe to call where the compiler does not know that they exist"
)]
#![allow(
    clippy::inline_always,
    reason = "an instruction can only be used inside a function that is compiled for it"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod work;

pub use work::{Simd, Work};

use std::sync::OnceLock;

use portable::Portable;

/// Numbers of a vector, and candidates of a block.
pub const LANES: usize = 16;

/// A cache line of `N` numbers, where a line of memory begins.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct Line<T, const N: usize>(pub [T; N]);

/// What the processor can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Anything.
    Portable(PortableToken),
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2Token),
    /// AVX-512 F, BW, DQ, VL and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512Token),
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon(NeonToken),
}

/// That anything can be done without vector instructions.
pub type PortableToken = Portable;
/// That there are AVX2, FMA and F16C.
#[cfg(target_arch = "x86_64")]
pub type Avx2Token = avx2::Avx2;
/// That there are AVX-512 F, BW, DQ, VL and VNNI.
#[cfg(target_arch = "x86_64")]
pub type Avx512Token = avx512::Avx512;
/// That there is NEON.
#[cfg(target_arch = "aarch64")]
pub type NeonToken = neon::Neon;

impl Level {
    /// The best that this processor can do, looked for once.
    #[inline]
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Self::all().pop().unwrap_or(Self::Portable(Portable)))
    }

    /// All that this processor can do, the plainest first.
    pub fn all() -> Vec<Self> {
        let portable = std::iter::once(Self::Portable(Portable));
        #[cfg(target_arch = "x86_64")]
        let more = [avx2::Avx2::detect().map(Self::Avx2), avx512::Avx512::detect().map(Self::Avx512)];
        #[cfg(target_arch = "aarch64")]
        let more = [neon::Neon::detect().map(Self::Neon)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let more: [Option<Self>; 0] = [];
        portable.chain(more.into_iter().flatten()).collect()
    }

    /// The level's name, as measurements print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "neon",
        }
    }

    /// Does the work with the instructions of this level.
    #[inline]
    pub fn run<W: Work>(self, work: W) -> W::Output {
        match self {
            Self::Portable(token) => token.run(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => token.run(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => token.run(work),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(token) => token.run(work),
        }
    }
}

#[cfg(test)]
mod tests;
