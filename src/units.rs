//! Quantities with their units: CPU, memory, money, sets of resources, and the Kubernetes quantity grammar.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use crate::time::Duration;

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// Nothing.
            pub const ZERO: $name = $name(0);
        }
        impl Add for $name { type Output = $name; fn add(self, rhs: $name) -> $name { $name(self.0 + rhs.0) } }
        impl Sub for $name { type Output = $name; fn sub(self, rhs: $name) -> $name { $name(self.0 - rhs.0) } }
        impl Neg for $name { type Output = $name; fn neg(self) -> $name { $name(-self.0) } }
        impl AddAssign for $name { fn add_assign(&mut self, rhs: $name) { self.0 += rhs.0; } }
        impl SubAssign for $name { fn sub_assign(&mut self, rhs: $name) { self.0 -= rhs.0; } }
        impl Sum for $name { fn sum<I: Iterator<Item = $name>>(iter: I) -> $name { iter.fold($name::ZERO, Add::add) } }
    };
}

amount! {
    /// CPU in millicores (1 vCPU = 1000).
    Cpu
}
amount! {
    /// Memory or storage in bytes.
    Memory
}
amount! {
    /// Money in nano-dollars (10⁻⁹ USD); the range is ±9.2 billion USD.
    Usd
}

impl Cpu {
    /// `milli` thousandths of a vCPU.
    #[inline]
    #[must_use]
    pub const fn from_milli(milli: i64) -> Self {
        Cpu(milli)
    }
    /// Thousandths of a vCPU.
    #[inline]
    #[must_use]
    pub const fn milli(self) -> i64 {
        self.0
    }
    /// vCPUs.
    #[inline]
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl Memory {
    /// `bytes` bytes.
    #[inline]
    #[must_use]
    pub const fn from_bytes(bytes: i64) -> Self {
        Memory(bytes)
    }
    /// `mib` mebibytes.
    #[inline]
    #[must_use]
    pub const fn from_mib(mib: i64) -> Self {
        Memory(mib * 1_048_576)
    }
    /// Bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> i64 {
        self.0
    }
}

impl Usd {
    /// `nano` nano-dollars.
    #[inline]
    #[must_use]
    pub const fn from_nano(nano: i64) -> Self {
        Usd(nano)
    }
    /// Dollars rounded to the nano-dollar.
    #[inline]
    #[must_use]
    pub fn from_f64(dollars: f64) -> Self {
        Usd((dollars * 1e9).round() as i64)
    }
    /// Nano-dollars.
    #[inline]
    #[must_use]
    pub const fn nano(self) -> i64 {
        self.0
    }
    /// Dollars.
    #[inline]
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
    /// What `time` costs at this price per hour, rounded down to the nano-dollar.
    #[inline]
    #[must_use]
    pub fn per_hour_for(self, time: Duration) -> Usd {
        Usd((i128::from(self.0) * i128::from(time.as_micros()) / 3_600_000_000) as i64)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = self.as_f64();
        if dollars != 0.0 && dollars.abs() < 1.0 { write!(f, "${dollars:.4}") } else { write!(f, "${dollars:.2}") }
    }
}

/// Canonical form of millicores: `2`, `250m`.
impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1000 == 0 { write!(f, "{}", self.0 / 1000) } else { write!(f, "{}m", self.0) }
    }
}

/// Canonical form of bytes: the largest binary suffix that divides them (`1536Mi`, `1Gi`), else plain bytes.
impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (suffix, shift) in [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)] {
            if self.0 != 0 && self.0 % (1_i64 << shift) == 0 {
                return write!(f, "{}{suffix}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// The resources that a pod can request, a node can offer or a NodePool can limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Resource {
    /// `cpu`, in millicores.
    Cpu,
    /// `memory`, in bytes.
    Memory,
    /// `pods`, a count.
    Pods,
    /// `ephemeral-storage`, in bytes.
    EphemeralStorage,
    /// `nodes`, a count; only meaningful in NodePool limits.
    Nodes,
    /// `nvidia.com/gpu`, a count.
    NvidiaGpu,
    /// `amd.com/gpu`, a count.
    AmdGpu,
    /// `habana.ai/gaudi`, a count.
    Gaudi,
    /// `aws.amazon.com/neuron`, a count.
    Neuron,
    /// `vpc.amazonaws.com/pod-eni`, a count.
    PodEni,
    /// `vpc.amazonaws.com/efa`, a count.
    Efa,
}

impl Resource {
    /// How many resources there are.
    pub const COUNT: usize = 11;
    /// All resources, in the order of the enum.
    pub const ALL: [Resource; Resource::COUNT] = [
        Resource::Cpu,
        Resource::Memory,
        Resource::Pods,
        Resource::EphemeralStorage,
        Resource::Nodes,
        Resource::NvidiaGpu,
        Resource::AmdGpu,
        Resource::Gaudi,
        Resource::Neuron,
        Resource::PodEni,
        Resource::Efa,
    ];

    /// The name in manifests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Resource::Cpu => "cpu",
            Resource::Memory => "memory",
            Resource::Pods => "pods",
            Resource::EphemeralStorage => "ephemeral-storage",
            Resource::Nodes => "nodes",
            Resource::NvidiaGpu => "nvidia.com/gpu",
            Resource::AmdGpu => "amd.com/gpu",
            Resource::Gaudi => "habana.ai/gaudi",
            Resource::Neuron => "aws.amazon.com/neuron",
            Resource::PodEni => "vpc.amazonaws.com/pod-eni",
            Resource::Efa => "vpc.amazonaws.com/efa",
        }
    }

    /// The resource of that manifest name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Resource> {
        Resource::ALL.into_iter().find(|resource| resource.name() == name)
    }
}

/// An amount of every resource: CPU in millicores, memory and storage in bytes, the others as counts. Absent = 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources(pub [i64; Resource::COUNT]);

impl Resources {
    /// Nothing of anything.
    pub const ZERO: Resources = Resources([0; Resource::COUNT]);

    /// CPU and memory only.
    #[inline]
    #[must_use]
    pub const fn new(cpu: Cpu, memory: Memory) -> Self {
        let mut amounts = [0; Resource::COUNT];
        amounts[Resource::Cpu as usize] = cpu.0;
        amounts[Resource::Memory as usize] = memory.0;
        Resources(amounts)
    }

    /// The same with `amount` of `resource`, in its unit.
    #[inline]
    #[must_use]
    pub const fn with(mut self, resource: Resource, amount: i64) -> Self {
        self.0[resource as usize] = amount;
        self
    }

    /// The amount of `resource`, in its unit.
    #[inline]
    #[must_use]
    pub const fn get(&self, resource: Resource) -> i64 {
        self.0[resource as usize]
    }

    /// CPU.
    #[inline]
    #[must_use]
    pub const fn cpu(&self) -> Cpu {
        Cpu(self.0[Resource::Cpu as usize])
    }

    /// Memory.
    #[inline]
    #[must_use]
    pub const fn memory(&self) -> Memory {
        Memory(self.0[Resource::Memory as usize])
    }

    /// Number of pods.
    #[inline]
    #[must_use]
    pub const fn pods(&self) -> i64 {
        self.0[Resource::Pods as usize]
    }

    /// Whether every requested amount is available; a request of 0 always is, unless something available is negative
    /// (`sigs.k8s.io/karpenter` `pkg/utils/resources: Fits`).
    #[inline]
    #[must_use]
    pub fn fits(&self, available: &Resources) -> bool {
        debug_assert!(self.0.iter().all(|want| *want >= 0), "requests below 0: {self:?}");
        // Asked for hundreds of types at a time: signs are gathered without a branch. Where a difference would be too small for a
        // number, what is available is below 0 itself.
        let signs =
            self.0.iter().zip(&available.0).fold(0, |signs, (want, have)| signs | have | have.wrapping_sub(*want));
        signs >= 0
    }

    /// Per-resource minimum.
    #[inline]
    #[must_use]
    pub fn min(self, other: Resources) -> Resources {
        Resources(std::array::from_fn(|i| self.0[i].min(other.0[i])))
    }

    /// Per-resource maximum.
    #[inline]
    #[must_use]
    pub fn max(self, other: Resources) -> Resources {
        Resources(std::array::from_fn(|i| self.0[i].max(other.0[i])))
    }
}

impl Add for Resources {
    type Output = Resources;
    #[inline]
    fn add(self, rhs: Resources) -> Resources {
        Resources(std::array::from_fn(|i| self.0[i] + rhs.0[i]))
    }
}

impl Sub for Resources {
    type Output = Resources;
    #[inline]
    fn sub(self, rhs: Resources) -> Resources {
        Resources(std::array::from_fn(|i| self.0[i] - rhs.0[i]))
    }
}

impl AddAssign for Resources {
    #[inline]
    fn add_assign(&mut self, rhs: Resources) {
        *self = *self + rhs;
    }
}

impl SubAssign for Resources {
    #[inline]
    fn sub_assign(&mut self, rhs: Resources) {
        *self = *self - rhs;
    }
}

impl Sum for Resources {
    #[inline]
    fn sum<I: Iterator<Item = Resources>>(iter: I) -> Resources {
        iter.fold(Resources::ZERO, Add::add)
    }
}

/// What is wrong with a text that should be a Kubernetes quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number at all, or a number followed by something that is no suffix.
    #[error("not a quantity (expected a number with an optional suffix such as m, k, M, G, Ki, Mi, Gi)")]
    Malformed,
    /// Outside what 64 bits hold.
    #[error("quantity out of range")]
    OutOfRange,
}

/// A Kubernetes quantity in thousandths, fractions of a thousandth rounded up (`apimachinery/pkg/api/resource: Quantity.MilliValue`).
///
/// # Errors
/// When the text is no quantity, or its thousandths exceed 64 bits.
pub fn parse_quantity_milli(text: &str) -> Result<i64, QuantityError> {
    let nano = parse_nano(text)?;
    i64::try_from(div_away_from_zero(nano, 1_000_000)).map_err(|_| QuantityError::OutOfRange)
}

/// A Kubernetes quantity in whole units, fractions rounded up (`Quantity.Value`).
///
/// # Errors
/// As [`parse_quantity_milli`].
pub fn parse_quantity(text: &str) -> Result<i64, QuantityError> {
    let nano = parse_nano(text)?;
    i64::try_from(div_away_from_zero(nano, 1_000_000_000)).map_err(|_| QuantityError::OutOfRange)
}

fn div_away_from_zero(value: i128, divisor: i128) -> i128 {
    let quotient = value / divisor;
    if value % divisor == 0 { quotient } else { quotient + value.signum() }
}

/// Billionths, finer parts rounded up as upstream does.
fn parse_nano(text: &str) -> Result<i128, QuantityError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let (number, suffix) = digits.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 20 || fraction.len() > 20 {
        return Err(QuantityError::Malformed);
    }
    let (factor_numerator, factor_denominator) = suffix_factor(suffix)?;
    let mantissa: i128 = format!("{whole}{fraction}").parse().map_err(|_| QuantityError::Malformed)?;
    let numerator = mantissa
        .checked_mul(factor_numerator)
        .and_then(|v| v.checked_mul(1_000_000_000))
        .ok_or(QuantityError::OutOfRange)?;
    let denominator = 10_i128.pow(fraction.len() as u32) * factor_denominator;
    let nano = div_away_from_zero(numerator, denominator);
    Ok(if negative { -nano } else { nano })
}

fn suffix_factor(suffix: &str) -> Result<(i128, i128), QuantityError> {
    Ok(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        other => return exponent_factor(other),
    })
}

fn exponent_factor(suffix: &str) -> Result<(i128, i128), QuantityError> {
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Malformed)?;
    let exponent: i32 = exponent.parse().map_err(|_| QuantityError::Malformed)?;
    if exponent.abs() > 18 {
        return Err(QuantityError::OutOfRange);
    }
    let power = 10_i128.pow(exponent.unsigned_abs());
    Ok(if exponent < 0 { (1, power) } else { (power, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_round_as_upstream() {
        for (text, milli) in [
            ("100m", Ok(100)),
            ("1", Ok(1000)),
            ("0.0001", Ok(1)),
            ("1.5", Ok(1500)),
            ("1e3", Ok(1_000_000)),
            ("2Ki", Ok(2_048_000)),
            (".5", Ok(500)),
            ("-1.0005", Ok(-1001)),
            ("1u", Ok(1)),
            ("", Err(QuantityError::Malformed)),
            ("1Gb", Err(QuantityError::Malformed)),
            ("1.2.3", Err(QuantityError::Malformed)),
            ("“8Gi”", Err(QuantityError::Malformed)),
            ("9e18", Err(QuantityError::OutOfRange)),
        ] {
            assert_eq!(parse_quantity_milli(text), milli, "{text}");
        }
        assert_eq!(parse_quantity("8Gi"), Ok(8 << 30));
        assert_eq!(parse_quantity("1500m"), Ok(2));
    }

    #[test]
    fn money_per_hour_is_exact_to_the_nano_dollar() {
        let price = Usd::from_f64(0.192);
        assert_eq!(price.per_hour_for(Duration::from_hours(1)), price);
        assert_eq!(price.per_hour_for(Duration::from_secs(60)), Usd::from_nano(3_200_000));
    }

    #[test]
    fn amounts_print_in_canonical_form() {
        assert_eq!(Memory::from_mib(1024).to_string(), "1Gi");
        assert_eq!(Memory::from_mib(640).to_string(), "640Mi");
        assert_eq!(Cpu::from_milli(4500).to_string(), "4500m");
        assert_eq!(Cpu::from_milli(3000).to_string(), "3");
    }
}
