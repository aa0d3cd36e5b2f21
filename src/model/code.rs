//! Codes that users type: six digits from an authenticator, an SMS or an e-mail, and backup codes.
//!
//! Six digits are taken exactly as they are. Where spaces or padding were forgiven, one code had many
//! spellings, and each of them escaped the limits and the replay check of the others (CVE-2025-6015). A backup code is
//! copied from paper and is looked up by what it means, so there the spelling is free.

use std::fmt;

use zeroize::Zeroizing;

/// Six decimal digits. Wiped on drop, never printed.
#[derive(Clone)]
pub struct SixDigits(Zeroizing<String>);

impl SixDigits {
    /// Number of different codes; each is below it.
    pub const COUNT: u32 = 1_000_000;

    /// Reads exactly six ASCII digits; `None` for anything else, spaces and the digits of other scripts included.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let six = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
        six.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The digits of `number`, with zeros before it. Of a number that has more than six, the last six.
    #[must_use]
    pub fn of(number: u32) -> Self {
        Self(Zeroizing::new(format!("{:06}", number % Self::COUNT)))
    }

    /// The six digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SixDigits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SixDigits(…)")
    }
}

/// A backup code: 40 random bits as eight symbols. Wiped on drop, never printed by accident.
///
/// ASVS 6.5.4 asks for 20 bits and more, NIST SP 800-63B-4 (3.1.2) the same of a salted and slowly hashed code.
#[derive(Clone)]
pub struct BackupCode(Zeroizing<String>);

impl BackupCode {
    /// Symbols of a code.
    pub const SYMBOLS: usize = 8;
    /// Without I, O, 0 and 1, which look alike on paper.
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    /// A longer text is no spelling of a code, only work.
    const MAX_TYPED_BYTES: usize = 64;

    /// The code that stands for 40 bits, five to a symbol.
    #[must_use]
    pub fn from_random(bits: [u8; 5]) -> Self {
        let mut symbols = Zeroizing::new(String::with_capacity(Self::SYMBOLS));
        let number = bits.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        for position in (0..Self::SYMBOLS).rev() {
            let index = (number >> (5 * position)) & 0x1f;
            symbols.push(char::from(Self::ALPHABET[usize::from(index as u8)]));
        }
        Self(symbols)
    }

    /// Reads a code as a user typed it: lower case counts as upper case, spaces and dashes are ignored.
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        if typed.len() > Self::MAX_TYPED_BYTES {
            return None;
        }
        let mut symbols = Zeroizing::new(String::with_capacity(Self::SYMBOLS));
        for typed in typed.chars().filter(|c| !separates(*c)) {
            let symbol = typed.to_ascii_uppercase();
            let known = u8::try_from(symbol).is_ok_and(|byte| Self::ALPHABET.contains(&byte));
            if !known || symbols.len() == Self::SYMBOLS {
                return None;
            }
            symbols.push(symbol);
        }
        (symbols.len() == Self::SYMBOLS).then_some(Self(symbols))
    }

    /// The form shown to its owner: `XXXX-XXXX`.
    #[must_use]
    pub fn shown(&self) -> Zeroizing<String> {
        let (left, right) = self.0.split_at(Self::SYMBOLS / 2);
        let mut shown = Zeroizing::new(String::with_capacity(Self::SYMBOLS + 1));
        shown.push_str(left);
        shown.push('-');
        shown.push_str(right);
        shown
    }

    /// The eight symbols, to be hashed: the same for every spelling.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Whether `c` separates the symbols of a typed code. Word processors make longer dashes and unbreakable
/// spaces of a copied code.
fn separates(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

impl fmt::Debug for BackupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn six_ascii_digits_are_taken_and_nothing_else() {
        for good in ["000000", "123456", "999999"] {
            assert_eq!(SixDigits::parse(good).expect("six digits").as_str(), good);
        }
        for bad in [
            "",
            "12345",
            "1234567",
            " 123456",
            "123456 ",
            "123 456",
            "12345\n",
            "12345\0",
            "+12345",
            "-12345",
            "1234.5",
            "0x1234",
            "12345a",
            "١٢٣٤٥٦",
            "１２３４５６",
            "١٢٣",
            "१२",
            "𝟏2",
        ] {
            assert!(SixDigits::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_number_becomes_six_digits() {
        assert_eq!(SixDigits::of(0).as_str(), "000000");
        assert_eq!(SixDigits::of(42).as_str(), "000042");
        assert_eq!(SixDigits::of(999_999).as_str(), "999999");
        assert_eq!(SixDigits::of(1_284_755_224).as_str(), "755224");
    }

    #[test]
    fn forty_bits_are_eight_symbols_and_every_bit_counts() {
        assert_eq!(*BackupCode::from_random([0; 5]).shown(), "AAAA-AAAA");
        assert_eq!(*BackupCode::from_random([0xff; 5]).shown(), "9999-9999");
        // 00000 00001 00010 … 00111
        let counting = [0x00, 0x44, 0x32, 0x14, 0xc7];
        assert_eq!(*BackupCode::from_random(counting).shown(), "ABCD-EFGH");
        let mut seen = HashSet::new();
        for bit in 0..40 {
            let mut bits = [0; 5];
            bits[bit / 8] = 1 << (bit % 8);
            seen.insert(BackupCode::from_random(bits).shown().to_string());
        }
        assert_eq!(seen.len(), 40);
    }

    #[test]
    fn the_alphabet_has_no_look_alikes() {
        let symbols: HashSet<_> = BackupCode::ALPHABET.iter().collect();
        assert_eq!(symbols.len(), 32);
        assert!(!symbols.iter().any(|symbol| b"IO01".contains(symbol)));
    }

    #[test]
    fn every_spelling_of_a_backup_code_is_the_same_code() {
        for typed in [
            "ABCD-2345",
            "abcd-2345",
            "AbCd2345",
            " abcd 2345 \r\n",
            "a-b-c-d-2-3-4-5",
            "abcd\u{2013}2345",
            "ABCD\u{a0}\u{2212}\u{a0}2345",
        ] {
            let code = BackupCode::parse(typed).expect(typed);
            assert_eq!(code.bytes(), b"ABCD2345");
            assert_eq!(*code.shown(), "ABCD-2345");
        }
    }

    #[test]
    fn what_is_no_backup_code_is_refused() {
        let spaces = " ".repeat(64) + "ABCD2345";
        for bad in [
            "",
            "--------",
            "ABCD-234",
            "ABCD-23456",
            "ABCD-234O",
            "ABCD-2341",
            "IBCD-2345",
            "0BCD-2345",
            "ABCD_2345",
            "ÄBCD-2345",
            "ＡBCD-2345",
            "ſBCD-2345",
            "ABCD-234\0",
            &spaces,
        ] {
            assert!(BackupCode::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn codes_print_as_nothing() {
        let digits = SixDigits::of(123_456);
        let code = BackupCode::from_random([1, 2, 3, 4, 5]);
        assert_eq!(format!("{digits:?}"), "SixDigits(…)");
        assert_eq!(format!("{code:?}"), "BackupCode(…)");
    }
}
