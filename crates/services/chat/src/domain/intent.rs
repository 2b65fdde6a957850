//! What a customer can want of the shop's support.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

macro_rules! intents {
    ($($variant:ident = $name:literal;)*) => {
        /// What a message is about. The names are the public ones (`docs/chat-hub.md`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Intent {
            $(#[doc = $name] $variant,)*
        }

        impl Intent {
            /// Every intent, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its public name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

intents! {
    CancelOrder = "cancel_order";
    ChangeOrder = "change_order";
    ChangeShippingAddress = "change_shipping_address";
    CheckCancellationFee = "check_cancellation_fee";
    CheckInvoice = "check_invoice";
    CheckPaymentMethods = "check_payment_methods";
    CheckRefundPolicy = "check_refund_policy";
    Complaint = "complaint";
    ContactCustomerService = "contact_customer_service";
    ContactHumanAgent = "contact_human_agent";
    CreateAccount = "create_account";
    DeleteAccount = "delete_account";
    DeliveryOptions = "delivery_options";
    DeliveryPeriod = "delivery_period";
    EditAccount = "edit_account";
    GetInvoice = "get_invoice";
    GetRefund = "get_refund";
    NewsletterSubscription = "newsletter_subscription";
    PaymentIssue = "payment_issue";
    PlaceOrder = "place_order";
    RecoverPassword = "recover_password";
    RegistrationProblems = "registration_problems";
    Review = "review";
    SetUpShippingAddress = "set_up_shipping_address";
    SwitchAccount = "switch_account";
    TrackOrder = "track_order";
    TrackRefund = "track_refund";
    FindBook = "find_book";
    BookAvailability = "book_availability";
    RecommendBook = "recommend_book";
    StoreInformation = "store_information";
    Greeting = "greeting";
    Thanks = "thanks";
    OutOfScope = "out_of_scope";
}

/// The text names no intent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an intent")]
pub struct UnknownIntent(pub String);

impl FromStr for Intent {
    type Err = UnknownIntent;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|intent| intent.name() == text).ok_or_else(|| UnknownIntent(text.to_owned()))
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Intent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Intent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
