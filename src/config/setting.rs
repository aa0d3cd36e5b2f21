//! Declaration of settings: [`settings!`] makes a struct out of rows, and each row is all there is about a setting.

use super::{
    ApiKeys, Config, Dev, Email, Hashing, Http, Keys, Limits, Outbound, Postgres, Redis,
    RedisParts, Safety, SecondFactors, Sms, Store, Telemetry, Tokens,
};

/// One setting.
pub(super) struct Setting {
    /// Name of the environment variable.
    pub(super) name: &'static str,
    /// Purpose, in sentences for operators (Markdown).
    pub(super) about: &'static str,
    /// Completes the sentence "allowed: …".
    pub(super) allowed: fn() -> String,
    /// Stores what was written; `false` when it is not allowed.
    pub(super) read: fn(&mut Config, &str) -> bool,
    /// Its value as an operator would write it, masked when secret.
    pub(super) show: fn(&Config) -> String,
    /// Quotes what was written, masked when secret.
    pub(super) quote: fn(&str) -> String,
}

/// The settings of one concern.
pub(super) struct Concern {
    /// Heading, as a sentence.
    pub(super) title: &'static str,
    /// In the order in which they are shown.
    pub(super) settings: &'static [Setting],
}

/// All concerns, in the order in which they are shown.
pub(super) static CONCERNS: &[Concern] = &[
    Http::CONCERN,
    Redis::CONCERN,
    RedisParts::CONCERN,
    Postgres::CONCERN,
    Store::CONCERN,
    Hashing::CONCERN,
    Tokens::CONCERN,
    Keys::CONCERN,
    SecondFactors::CONCERN,
    ApiKeys::CONCERN,
    Limits::CONCERN,
    Sms::CONCERN,
    Email::CONCERN,
    Outbound::CONCERN,
    Telemetry::CONCERN,
    Safety::CONCERN,
    Dev::CONCERN,
];

/// All settings, in the order in which they are shown.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    CONCERNS.iter().flat_map(|concern| concern.settings)
}

/// Declares the settings of one concern.
///
/// ```text
/// settings! {
///     /// Heading of the concern.
///     pub struct Redis = config.redis {
///         /// Purpose of the setting, for operators.
///         timeout: Duration = Duration::from_secs(1), "REDIS_TIMEOUT", TIMEOUT;
///         also {
///             /// Purpose of a member that no variable sets.
///             given: bool = false;
///         }
///     }
/// }
/// ```
///
/// `config.redis` is the struct's place in [`Config`]; `TIMEOUT` is a [`Form`](super::form::Form). Out of that come the
/// struct, its `Default`, its `Debug` (which masks what the form masks) and its [`Concern`], which has to be named
/// in [`CONCERNS`].
macro_rules! settings {
    (
        $(#[doc = $title:literal])+
        $vis:vis struct $struct:ident = config.$($path:ident).+ {
            $(
                $(#[doc = $about:literal])+
                $member:ident: $type:ty = $default:expr, $name:literal, $form:expr;
            )*
            $(also {$(
                $(#[doc = $also_about:literal])+
                $also:ident: $also_type:ty = $also_default:expr;
            )*})?
        }
    ) => {
        $(#[doc = $title])+
        #[derive(Clone)]
        $vis struct $struct {
            $(
                #[doc = concat!("`", $name, "`:")]
                $(#[doc = $about])+
                $vis $member: $type,
            )*
            $($(
                $(#[doc = $also_about])+
                $vis $also: $also_type,
            )*)?
        }

        impl Default for $struct {
            fn default() -> Self {
                Self {
                    $($member: $default,)*
                    $($($also: $also_default,)*)?
                }
            }
        }

        impl std::fmt::Debug for $struct {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                use $crate::config::form::Form as _;
                f.debug_struct(stringify!($struct))
                    $(.field(stringify!($member), &format_args!("{}", $form.show(&self.$member))))*
                    $($(.field(stringify!($also), &self.$also))*)?
                    .finish()
            }
        }

        impl $struct {
            pub(in crate::config) const CONCERN: $crate::config::setting::Concern = $crate::config::setting::Concern {
                title: concat!($($title),+).trim_ascii(),
                settings: &[$({
                    use $crate::config::form::Form;
                    fn form() -> impl Form<Value = $type> {
                        $form
                    }
                    $crate::config::setting::Setting {
                        name: $name,
                        about: concat!($($about),+).trim_ascii(),
                        allowed: || form().allowed(),
                        read: |config, text| {
                            let value = form().parse(text);
                            value.map(|value| Self::in_config_mut(config).$member = value).is_some()
                        },
                        show: |config| form().show(&Self::in_config(config).$member),
                        quote: |text| form().quote(text),
                    }
                },)*],
            };

            fn in_config_mut(config: &mut $crate::config::Config) -> &mut Self {
                &mut config.$($path).+
            }

            fn in_config(config: &$crate::config::Config) -> &Self {
                &config.$($path).+
            }
        }
    };
}
pub(super) use settings;
