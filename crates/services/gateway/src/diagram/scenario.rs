//! The scenarios of the specification as data: each line of a diagram once, with what shows that it happened. They are
//! the diagrams of `docs/runtime-view.md`, and a test compares both; another drives each scenario and looks for each arrow.

use std::fmt::Write as _;

/// A scenario, written down.
#[derive(Debug)]
pub struct Scenario {
    /// Its name: the heading in `docs/runtime-view.md`.
    pub name: &'static str,
    /// The arrow without which a trace is not of it.
    sign: &'static str,
    participants: &'static [&'static str],
    lines: &'static [Line],
}

#[derive(Debug)]
enum Line {
    Arrow(Arrow),
    /// `alt`, `par` and what divides and ends them.
    Text(&'static str),
}

/// An arrow that is expected.
#[derive(Debug, Clone, Copy)]
pub struct Arrow {
    /// Who.
    pub from: &'static str,
    /// To whom.
    pub to: &'static str,
    /// What.
    pub label: &'static str,
    /// What a drawn arrow is known by.
    pub key: &'static str,
    /// Whether it answers another, or is drawn as if.
    pub reply: bool,
    /// Whether it is part of each instance: not of one branch of several, nor of an earlier request.
    pub always: bool,
}

impl Scenario {
    /// Whether a trace with these arrows is of it.
    pub(super) fn is_of(&self, has: impl Fn(&str) -> bool) -> bool {
        has(self.sign)
    }

    /// Who starts it.
    pub(super) fn actor(&self) -> &'static str {
        self.participants.first().copied().unwrap_or_default()
    }

    /// Its arrows, in their order.
    pub fn arrows(&self) -> impl Iterator<Item = &'static Arrow> {
        self.lines.iter().filter_map(|line| match line {
            Line::Arrow(arrow) => Some(arrow),
            Line::Text(_) => None,
        })
    }

    /// As a Mermaid `sequenceDiagram`.
    pub fn mermaid(&self) -> String {
        let mut text = "sequenceDiagram\n".to_owned();
        for name in self.participants {
            let _ = writeln!(text, "    participant {name}");
        }
        text.push('\n');
        let mut indent = 1;
        for line in self.lines {
            match line {
                Line::Arrow(Arrow { from, to, label, reply, .. }) => {
                    let arrow = if *reply { "-->>" } else { "->>" };
                    let _ = writeln!(text, "{}{from}{arrow}{to}: {label}", "    ".repeat(indent));
                }
                Line::Text(line) => {
                    let (opens, closes) = match line.split(' ').next() {
                        Some("alt" | "par" | "loop") => (1, 0),
                        Some("else" | "and") => (1, 1),
                        _ => (0, 1),
                    };
                    indent -= closes;
                    let _ = writeln!(text, "{}{line}", "    ".repeat(indent));
                    indent += opens;
                }
            }
        }
        text
    }
}

const fn ask(from: &'static str, to: &'static str, label: &'static str, key: &'static str) -> Line {
    Line::Arrow(Arrow { from, to, label, key, reply: false, always: true })
}

const fn reply(from: &'static str, to: &'static str, label: &'static str, key: &'static str) -> Line {
    Line::Arrow(Arrow { from, to, label, key, reply: true, always: true })
}

/// The same, of an earlier request or of one branch.
const fn maybe(line: Line) -> Line {
    match line {
        Line::Arrow(arrow) => Line::Arrow(Arrow { always: false, ..arrow }),
        text @ Line::Text(_) => text,
    }
}

/// Every scenario, the more special ones first.
pub const SCENARIOS: [Scenario; 4] = [PURCHASE, EVENTS, CHAT, SEARCH];

const PURCHASE: Scenario = Scenario {
    name: "Book purchase",
    sign: "role ordering POST /api/v1/orders/checkout",
    participants: &[
        "Customer",
        "WebApp",
        "Gateway",
        "Basket",
        "Ordering",
        "Finance",
        "PaymentProvider",
        "Catalog",
        "EventBus",
        "Notification",
        "MailServer",
    ],
    lines: &[
        maybe(ask("Customer", "WebApp", "Add book to cart", "server POST /basket/items")),
        maybe(ask("WebApp", "Gateway", "POST /basket/items", "server POST /api/v1/basket/items")),
        maybe(ask("Gateway", "Basket", "Add item to basket", "role basket POST /api/v1/basket/items")),
        maybe(reply("Basket", "Gateway", "Item added", "reply role basket POST /api/v1/basket/items")),
        maybe(reply("Gateway", "WebApp", "Success response", "reply server POST /api/v1/basket/items")),
        ask("Customer", "WebApp", "Proceed to checkout", "server POST /checkout"),
        ask("WebApp", "Gateway", "POST /orders/checkout", "server POST /api/v1/orders/checkout"),
        ask("Gateway", "Ordering", "Create order from basket", "role ordering POST /api/v1/orders/checkout"),
        ask("Ordering", "Basket", "Get basket items", "rpc bookworm.basket.v1.Basket/GetBasket"),
        reply("Basket", "Ordering", "Basket contents", "reply rpc bookworm.basket.v1.Basket/GetBasket"),
        ask("Ordering", "Catalog", "Verify book availability", "rpc bookworm.catalog.v1.Catalog/GetBooks"),
        reply("Catalog", "Ordering", "Availability confirmed", "reply rpc bookworm.catalog.v1.Catalog/GetBooks"),
        ask("Ordering", "Basket", "Claim this version for this order", "rpc bookworm.basket.v1.Basket/ClaimBasket"),
        reply("Basket", "Ordering", "Claimed", "reply rpc bookworm.basket.v1.Basket/ClaimBasket"),
        ask("Ordering", "EventBus", "Publish OrderCreated event", "create events.ordering.OrderCreated.v1"),
        ask("Ordering", "EventBus", "Reserve the stock", "create commands.catalog.ReserveStock.v1"),
        ask(
            "EventBus",
            "Finance",
            "OrderCreated event: what it is to cost",
            "process finance events.ordering.OrderCreated.v1",
        ),
        ask("EventBus", "Catalog", "Reserve the stock", "process catalog commands.catalog.ReserveStock.v1"),
        reply("Catalog", "EventBus", "Stock reserved", "create events.catalog.StockReserved.v1"),
        ask("EventBus", "Ordering", "Stock reserved", "process ordering events.catalog.StockReserved.v1"),
        ask("Ordering", "Ordering", "The saga asks for the payment", "saga authorising"),
        ask("Ordering", "EventBus", "Authorise the payment", "create commands.finance.AuthorisePayment.v1"),
        ask(
            "EventBus",
            "Finance",
            "Process financial transaction",
            "process finance commands.finance.AuthorisePayment.v1",
        ),
        ask("Finance", "PaymentProvider", "Authorise", "payment authorise"),
        reply("Finance", "EventBus", "Transaction processed", "create events.finance.PaymentAuthorised.v1"),
        ask("EventBus", "Ordering", "Payment authorised", "process ordering events.finance.PaymentAuthorised.v1"),
        ask("Ordering", "Ordering", "The saga confirms the order", "saga capturing"),
        ask("Ordering", "EventBus", "Publish OrderConfirmed event", "create events.ordering.OrderConfirmed.v1"),
        ask("Ordering", "EventBus", "Capture the payment", "create commands.finance.CapturePayment.v1"),
        Line::Text("par Confirmation"),
        ask(
            "EventBus",
            "Notification",
            "Send confirmation email",
            "process notification events.ordering.OrderConfirmed.v1",
        ),
        ask("Notification", "MailServer", "Confirmation email", "send mail"),
        Line::Text("and Basket"),
        ask("EventBus", "Basket", "Clear customer basket", "process basket events.ordering.OrderConfirmed.v1"),
        Line::Text("and Recommendations"),
        ask("EventBus", "Catalog", "OrderConfirmed event", "process catalog events.ordering.OrderConfirmed.v1"),
        Line::Text("and Books"),
        ask("EventBus", "Finance", "OrderConfirmed event", "process finance events.ordering.OrderConfirmed.v1"),
        Line::Text("and Capture"),
        ask("EventBus", "Finance", "Capture the payment", "process finance commands.finance.CapturePayment.v1"),
        ask("Finance", "PaymentProvider", "Capture", "payment capture"),
        ask("Finance", "EventBus", "Payment captured", "create events.finance.PaymentCaptured.v1"),
        ask("EventBus", "Ordering", "Payment captured", "process ordering events.finance.PaymentCaptured.v1"),
        ask("Ordering", "Ordering", "The saga ends", "saga done"),
        Line::Text("end"),
        reply("Ordering", "Gateway", "Order confirmed", "reply role ordering POST /api/v1/orders/checkout"),
        reply("Gateway", "WebApp", "Order success", "reply server POST /api/v1/orders/checkout"),
        reply("WebApp", "Customer", "Order confirmation", "reply server POST /checkout"),
    ],
};

const SEARCH: Scenario = Scenario {
    name: "Search",
    sign: "server GET /api/v1/search",
    participants: &["User", "WebApp", "Gateway", "Catalog", "AIService", "SearchIndex", "Cache"],
    lines: &[
        ask("User", "WebApp", "Enter search query", "server GET /search"),
        ask("WebApp", "Gateway", "GET /search?q=query", "server GET /api/v1/search"),
        ask("Gateway", "Cache", "Check cached results", "cache check"),
        Line::Text("alt Cache Hit"),
        maybe(reply("Cache", "Gateway", "Return cached results", "cache hit")),
        Line::Text("else Cache Miss"),
        maybe(ask("Gateway", "Catalog", "Process search request", "role catalog GET /api/v1/search")),
        maybe(ask("Catalog", "AIService", "Generate text embedding", "rpc bookworm.ai.v1.Ai/Embed")),
        maybe(reply("AIService", "Catalog", "Vector embedding", "reply rpc bookworm.ai.v1.Ai/Embed")),
        maybe(ask("Catalog", "SearchIndex", "Words and vector: one ranking", "search index")),
        maybe(reply("Catalog", "Gateway", "Ranked search results", "reply role catalog GET /api/v1/search")),
        maybe(ask("Gateway", "Cache", "Cache results", "cache store")),
        Line::Text("end"),
        reply("Gateway", "WebApp", "Search results", "reply server GET /api/v1/search"),
        reply("WebApp", "User", "Display search results", "reply server GET /search"),
    ],
};

const CHAT: Scenario = Scenario {
    name: "Support chat",
    sign: "chat begin conversation",
    participants: &["Customer", "WebApp", "ChatHub", "ChatService", "AIBot", "SupportAgent", "Database"],
    lines: &[
        ask("Customer", "ChatHub", "Connect to chat: StartConversation", "hub chat/StartConversation"),
        ask("ChatHub", "ChatService", "Create conversation", "chat begin conversation"),
        ask("ChatService", "Database", "Store conversation, messages and status", "chat transaction"),
        ask("Customer", "ChatHub", "Send message", "hub chat/SendMessage"),
        ask("ChatHub", "ChatService", "Process message", "chat change conversation"),
        ask("ChatService", "AIBot", "Analyze message intent, generate response", "bot answer"),
        Line::Text("alt Simple Query"),
        maybe(reply("AIBot", "ChatService", "AI response", "bot says")),
        Line::Text("else Complex Issue"),
        maybe(ask("ChatService", "SupportAgent", "Route to human agent", "chat with agent")),
        maybe(ask("SupportAgent", "ChatHub", "End the conversation", "hub chat/Close")),
        Line::Text("end"),
    ],
};

const EVENTS: Scenario = Scenario {
    name: "Events between services",
    sign: "create events.ordering.OrderCompleted.v1",
    participants: &["Ordering", "EventBus", "Catalog", "Finance", "Rating"],
    lines: &[
        ask("Ordering", "EventBus", "Publish OrderCompleted event", "create events.ordering.OrderCompleted.v1"),
        Line::Text("par Inventory Update"),
        ask("EventBus", "Catalog", "OrderCompleted event", "process catalog events.ordering.OrderCompleted.v1"),
        ask("Catalog", "EventBus", "InventoryUpdated event", "create events.catalog.InventoryUpdated.v1"),
        Line::Text("and Books"),
        ask("EventBus", "Finance", "OrderCompleted event", "process finance events.ordering.OrderCompleted.v1"),
        Line::Text("and Rating Invitation"),
        ask("EventBus", "Rating", "OrderCompleted event", "process rating events.ordering.OrderCompleted.v1"),
        Line::Text("end"),
    ],
};
