use std::sync::Arc;

use bookworm_contracts::events::{
    catalog::{self, StockRejected, StockReleased, StockReserved},
    finance::{
        PaymentActionRequired, PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentFailed, PaymentVoided,
    },
};
use bookworm_kernel::OrderId;
use bookworm_messaging::{Consumer, Message, Received};

use crate::{
    domain::{
        checkout_saga::{CheckoutSaga, Input},
        event::ShortLine,
    },
    service::{
        Ordering,
        work::{Work, WorkError},
    },
};

/// Advances the checkout with every answer of catalogue and finance.
pub(crate) fn subscribe(consumer: Consumer, service: &Arc<Ordering>) -> Consumer {
    let consumer = advance_on(consumer, service, |m: StockReserved| (m.order_id, Input::StockReserved));
    let consumer = advance_on(consumer, service, |m: StockRejected| {
        (m.order_id, Input::StockRejected { short: m.short.into_iter().map(short_line).collect() })
    });
    let consumer = advance_on(consumer, service, |m: StockReleased| (m.order_id, Input::StockReleased));
    let consumer = advance_on(consumer, service, |m: PaymentAuthorised| (m.order_id, Input::PaymentAuthorised));
    let consumer =
        advance_on(consumer, service, |m: PaymentDeclined| (m.order_id, Input::PaymentDeclined { reason: m.reason }));
    let consumer = advance_on(consumer, service, |m: PaymentActionRequired| {
        (m.order_id, Input::PaymentActionRequired { action_url: m.action_url })
    });
    let consumer = advance_on(consumer, service, |m: PaymentVoided| (m.order_id, Input::PaymentVoided));
    let consumer =
        advance_on(consumer, service, |m: PaymentCaptured| (m.order_id, Input::PaymentCaptured { amount: m.amount }));
    advance_on(consumer, service, |m: PaymentFailed| (m.order_id, Input::PaymentFailed { reason: m.reason }))
}

fn advance_on<M: Message>(consumer: Consumer, service: &Arc<Ordering>, read: fn(M) -> (OrderId, Input)) -> Consumer {
    let service = service.clone();
    consumer.on(move |Received { body, cause, receipt, .. }: Received<M>| {
        let (service, (id, input)) = (service.clone(), read(body));
        async move {
            let (db, now) = (service.db.clone(), service.now());
            receipt
                .once::<_, WorkError, _>(&db, move |tx| {
                    Box::pin(async move {
                        let actions = bookworm_saga::advance::<CheckoutSaga>(tx, id.uuid(), input, now).await?;
                        if actions.is_empty() {
                            return Ok(());
                        }
                        let mut work = Work::on(&service, tx, cause, id);
                        work.perform(actions).await?;
                        work.finish_if_decided().await
                    })
                })
                .await?;
            Ok(())
        }
    })
}

fn short_line(catalog::ShortLine { book_id, wanted, available }: catalog::ShortLine) -> ShortLine {
    ShortLine { book_id, wanted, available }
}
