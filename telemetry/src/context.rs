//! The W3C trace context: which trace a hop belongs to, and which span of it is the caller's.

use std::fmt;

use uuid::Uuid;

/// `00-<trace>-<span>-<flags>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    pub trace: u128,
    pub span: u64,
    /// Whoever began the trace wants it exported.
    pub sampled: bool,
}

impl Context {
    /// A trace that begins here; `ratio` of them are sampled.
    pub fn begin(ratio: f64) -> Self {
        let trace = Uuid::new_v4().as_u128();
        // Without the two bits of the lower half that every such id has in common.
        let place = (((trace as u64) << 2) >> 11) as f64 / (1_u64 << 53) as f64;
        Self { trace, span: new_span(), sampled: place < ratio }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.bytes().all(|byte| byte == b'-' || matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lengths = [version, trace, span, flags].map(str::len);
        if !lower || parts.next().is_some() || lengths != [2, 32, 16, 2] || version == "ff" {
            return None;
        }
        let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (trace != 0 && span != 0).then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// Another span of the same trace.
    pub fn child(self) -> Self {
        Self { span: new_span(), ..self }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Random, and never 0, which means none.
fn new_span() -> u64 {
    // The lower half: 62 random bits below the variant's two, of which the first is 1.
    Uuid::new_v4().as_u64_pair().1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_its_text() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = Context::parse(text).unwrap();
        assert_eq!((context.to_string().as_str(), context.sampled), (text, true));
        assert!(!Context::parse(&text.replace("-01", "-00")).unwrap().sampled);
    }

    #[test]
    fn refuses_what_is_none() {
        for text in [
            "",
            "00-abc",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(Context::parse(text), None, "{text}");
        }
    }

    #[test]
    fn samples_about_as_many_as_it_shall() {
        let sampled = |ratio| (0..2000).filter(|_| Context::begin(ratio).sampled).count();
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 2000));
        assert!((300..700).contains(&sampled(0.25)));
    }

    #[test]
    fn a_child_is_of_the_same_trace() {
        let context = Context::begin(1.0);
        let child = context.child();
        assert_eq!((child.trace, child.sampled), (context.trace, true));
        assert_ne!(child.span, context.span);
    }
}
