//! Position of a client in the frames that it sends over HTTP/2: on a connection without a stream, a
//! frame that does not become whole, or a header block that does not end, is a request that does not
//! arrive. Pings and the like are neither.
//!
//! Nothing is refused here: what is wrong with a frame is for hyper to say.

/// Octets of a frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
/// Flag of both: the header block ends here.
const END_HEADERS: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Preface,
    Head,
    Payload,
}

/// Follows the frames of one client.
#[derive(Debug)]
pub(super) struct Frames {
    part: Part,
    /// Octets of the part that are still to come.
    left: usize,
    head: [u8; HEAD],
    in_header_block: bool,
    whole: u64,
}

impl Frames {
    /// Of a client whose preface, of this length, is still to be read.
    pub(super) const fn after(preface: usize) -> Self {
        Self {
            part: Part::Preface,
            left: preface,
            head: [0; HEAD],
            in_header_block: false,
            whole: 0,
        }
    }

    /// Takes what arrived.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(self.left.min(bytes.len()));
            if self.part == Part::Head {
                let from = HEAD - self.left;
                self.head[from..from + now.len()].copy_from_slice(now);
            }
            self.left -= now.len();
            if self.left == 0 {
                (self.part, self.left) = self.next();
            }
            bytes = later;
        }
    }

    /// Number of frames that were whole; a header block counts as one.
    pub(super) const fn whole(&self) -> u64 {
        self.whole
    }

    /// Whether something began and is not whole. Every client begins with SETTINGS.
    pub(super) fn is_unfinished(&self) -> bool {
        let between = self.part == Part::Head && self.left == HEAD && !self.in_header_block;
        self.whole == 0 || !between
    }

    fn next(&mut self) -> (Part, usize) {
        if self.part == Part::Head {
            let [high, middle, low, kind, flags, ..] = self.head;
            if matches!(kind, HEADERS | CONTINUATION) {
                self.in_header_block = flags & END_HEADERS == 0;
            }
            let length = u32::from_be_bytes([0, high, middle, low]);
            if let Ok(length @ 1..) = usize::try_from(length) {
                return (Part::Payload, length);
            }
        }
        if self.part != Part::Preface && !self.in_header_block {
            self.whole += 1;
        }
        (Part::Head, HEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"preface";
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingpong";
    const OPEN_HEADERS: &[u8] = b"\0\0\x02\x01\x01\0\0\0\x01ab";
    const CONTINUED: &[u8] = b"\0\0\x01\x09\0\0\0\0\x01c";
    const LAST: &[u8] = b"\0\0\0\x09\x04\0\0\0\x01";

    /// Fed byte by byte: after each, whether something is unfinished.
    fn fed(parts: &[&[u8]]) -> (Frames, Vec<bool>) {
        let mut frames = Frames::after(PREFACE.len());
        let bytes = parts.concat();
        let states = bytes.iter().map(|byte| {
            frames.read(std::slice::from_ref(byte));
            frames.is_unfinished()
        });
        let states = states.collect();
        (frames, states)
    }

    #[test]
    fn a_connection_begins_unfinished_until_its_settings_are_there() {
        let (frames, states) = fed(&[PREFACE, SETTINGS]);
        assert_eq!(frames.whole(), 1);
        let (last, before) = states.split_last().expect("bytes");
        assert!(!last && before.iter().all(|unfinished| *unfinished));
    }

    #[test]
    fn a_frame_is_unfinished_until_its_last_byte() {
        let (frames, states) = fed(&[PREFACE, SETTINGS, PING]);
        assert_eq!(frames.whole(), 2);
        let ping = &states[states.len() - PING.len()..];
        let (last, before) = ping.split_last().expect("bytes");
        assert!(!last && before.iter().all(|unfinished| *unfinished));
    }

    #[test]
    fn a_header_block_is_unfinished_until_it_ends_however_many_frames_it_has() {
        let (frames, _) = fed(&[PREFACE, SETTINGS, OPEN_HEADERS, CONTINUED, CONTINUED]);
        assert!(frames.is_unfinished());
        assert_eq!(frames.whole(), 1);
        let (frames, _) = fed(&[PREFACE, SETTINGS, OPEN_HEADERS, CONTINUED, LAST]);
        assert!(!frames.is_unfinished());
        assert_eq!(frames.whole(), 2);
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut() {
        let bytes = [PREFACE, SETTINGS, PING, OPEN_HEADERS].concat();
        for cut in 0..bytes.len() {
            let mut frames = Frames::after(PREFACE.len());
            frames.read(&bytes[..cut]);
            frames.read(&bytes[cut..]);
            assert_eq!((frames.whole(), frames.is_unfinished()), (2, true), "{cut}");
        }
    }
}
