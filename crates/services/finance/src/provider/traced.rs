use std::sync::Arc;

use async_trait::async_trait;
use bookworm_contracts::rest::ordering::PaymentMethod;
use bookworm_kernel::Money;
use bookworm_trace::{KeyValue, Kind, Span};
use uuid::Uuid;

use super::{
    AuthoriseRequest, PaymentProvider, PaymentRef, ProviderError, ProviderPayment, WebhookError, WebhookEvent,
    WebhookRequest,
};

/// A provider whose calls are steps of the trace that they belong to. What is asked is not part of them, but for the
/// operation: tokens and amounts stay out of traces.
pub(super) struct Traced(pub Arc<dyn PaymentProvider>);

impl Traced {
    async fn step<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, ProviderError>> + Send,
    ) -> Result<T, ProviderError> {
        let mut step = Span::within(Kind::Client, || {
            let attributes = vec![
                KeyValue::new("bookworm.payment.provider", self.0.name()),
                KeyValue::new("bookworm.payment.operation", operation),
            ];
            (format!("payment {operation}").into(), attributes)
        });
        let done = call.await;
        if let (Some(step), Err(error)) = (&mut step, &done) {
            step.fail(match error {
                ProviderError::Refused(_) => "refused",
                ProviderError::Unavailable(_) => "unavailable",
                ProviderError::TimedOut(_) => "timeout",
                ProviderError::Absent(_) => "absent",
                ProviderError::Unknown => "unknown",
            });
        }
        done
    }
}

#[async_trait]
impl PaymentProvider for Traced {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn open_webhook(&self, request: WebhookRequest<'_>) -> Result<WebhookEvent, WebhookError> {
        self.0.open_webhook(request)
    }

    fn methods(&self) -> Vec<PaymentMethod> {
        self.0.methods()
    }

    async fn authorise(&self, key: &str, request: &AuthoriseRequest) -> Result<ProviderPayment, ProviderError> {
        self.step("authorise", self.0.authorise(key, request)).await
    }

    async fn capture(&self, key: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError> {
        self.step("capture", self.0.capture(key, payment)).await
    }

    async fn void(&self, key: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError> {
        self.step("void", self.0.void(key, payment)).await
    }

    async fn refund(
        &self,
        key: &str,
        payment: PaymentRef<'_>,
        refund: Uuid,
        amount: Money,
    ) -> Result<ProviderPayment, ProviderError> {
        self.step("refund", self.0.refund(key, payment, refund, amount)).await
    }

    async fn fetch(&self, payment: PaymentRef<'_>) -> Result<Option<ProviderPayment>, ProviderError> {
        self.step("fetch", self.0.fetch(payment)).await
    }
}
