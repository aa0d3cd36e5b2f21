//! Second factors: answers to challenges, enrolment, management of methods, re-authentication.

mod backup_codes;
mod destination;
mod enrolment;
mod factor_owner;
mod finish_enrolment;
mod methods;
mod outcome;
mod presented_challenge;
mod reauthenticate;
mod reseal;
mod reset;
mod send_code;
mod shown_code;
mod trial;
mod verify;
mod verify_backup_code;

pub use super::device::Trust;
pub use backup_codes::{count as count_backup_codes, regenerate as regenerate_backup_codes};
pub use enrolment::{TotpSetup, set_up_email, set_up_sms, set_up_totp};
pub use finish_enrolment::{Enabled, finish_enrolment};
pub use methods::{
    MethodChange, MethodList, MethodView, change as change_method, list as list_methods,
    remove as remove_method, remove_totp,
};
pub use reauthenticate::{Reproof, reauthenticate};
pub use reseal::{reseal, run_reseal};
pub use reset::reset;
pub use send_code::{CodePosted, send_code, send_reauthentication_code};
pub use verify::{Verification, verify};
pub use verify_backup_code::verify_backup_code;
