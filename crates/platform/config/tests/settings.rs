//! What a person who runs the shop notices about its configuration.

#![allow(
    clippy::unwrap_used,
    clippy::field_reassign_with_default,
    reason = "a test may panic, and breaks one limit a line"
)]

use std::io::Write;

use bookworm_config::{ConfigError, LogFormat, Secret, Settings, Sources};

fn env(name: &str, value: &str) -> Sources {
    Sources::new().variables([(name.to_owned(), value.to_owned())])
}

fn file(toml: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(toml.as_bytes()).unwrap();
    file
}

fn error(sources: Sources) -> String {
    Settings::load(sources).expect_err("must be refused").to_string()
}

#[test]
fn defaults_are_valid() {
    let settings = Settings::load(Sources::new()).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.public_origin(settings.listen), "http://127.0.0.1:8080");
    assert!(!settings.secure_cookies());
}

#[test]
fn later_sources_win() {
    let toml = file(
        "listen = \"127.0.0.1:1\"\n[gateway]\nconcurrency = 2\n[gateway.rate_limit]\nburst = 5\nenabled = false\n",
    );
    let sources = Sources::new()
        .file(toml.path())
        .variables([
            ("BOOKWORM_LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
            ("BOOKWORM_GATEWAY__RATE_LIMIT__BURST".to_owned(), "6".to_owned()),
            ("OTHER_LISTEN".to_owned(), "nonsense".to_owned()),
        ])
        .set("--listen", "listen", "127.0.0.1:3");
    let settings = Settings::load(sources).unwrap();
    assert_eq!(settings.listen.port(), 3, "flag over environment over file");
    assert_eq!(settings.gateway.rate_limit.burst, 6, "environment over file");
    assert!(!settings.gateway.rate_limit.enabled, "file over default");
    assert_eq!(settings.gateway.concurrency, 2);
    assert_eq!(settings.gateway.rate_limit.per_client_per_minute, 600, "default where nothing is said");
}

#[test]
fn every_type_is_read_from_the_environment() {
    let settings = Settings::load(
        Sources::new().variables(
            [
                ("BOOKWORM_DEMO", "false"),
                ("BOOKWORM_ROLES", "catalog, basket"),
                ("BOOKWORM_SHUTDOWN_GRACE_SECONDS", " 5 "),
                ("BOOKWORM_PUBLIC_URL", "https://shop.example"),
                ("BOOKWORM_DATABASE__URL", "postgres://u:p@localhost/x"),
                ("BOOKWORM_WEB__TIME_ZONE", "America/New_York"),
                ("BOOKWORM_TELEMETRY__LOG_FORMAT", "json"),
                ("BOOKWORM_ADMIN__EMAIL", "admin@example.org"),
                ("BOOKWORM_ADMIN__PASSWORD", "12345678"),
                ("BOOKWORM_GATEWAY__CORS__ALLOWED_ORIGINS", "[\"https://a.example\"]"),
                (
                    "BOOKWORM_ORDERING__SHIPPING_METHODS",
                    "[{code = \"pickup\", name = \"Pick up\", price = 0, min_days = 0, max_days = 1}]",
                ),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        ),
    )
    .unwrap();
    assert!(!settings.demo);
    assert_eq!(settings.roles, ["catalog", "basket"]);
    assert_eq!(settings.shutdown_grace_seconds, 5);
    assert_eq!(settings.public_origin(settings.listen), "https://shop.example");
    assert!(settings.secure_cookies());
    assert_eq!(settings.database.url.as_ref().map(Secret::expose), Some("postgres://u:p@localhost/x"));
    assert_eq!(settings.telemetry.log_format, LogFormat::Json);
    assert_eq!(settings.web.time_zone.name(), "America/New_York");
    assert_eq!(settings.admin.password.as_ref().map(Secret::expose), Some("12345678"));
    assert_eq!(settings.gateway.cors.allowed_origins, ["https://a.example"]);
    assert_eq!(settings.ordering.shipping_methods[0].code, "pickup");
}

#[test]
fn variables_that_are_no_settings_are_passed_over() {
    for name in ["BOOKWORM_CONFIG", "BOOKWORM_TEST_POSTGRES_URL", "BOOKWORM_HOME", "BOOKWORMISH"] {
        assert!(Settings::load(env(name, "x")).is_ok(), "{name}");
    }
}

#[test]
fn errors_name_the_key_and_the_source() {
    let cases = [
        error(env("BOOKWORM_GATEWAY__RATE_LIMIT__PER_MINUTE", "5")),
        error(env("BOOKWORM_GATWAY__CONCURRENCY", "5")),
        error(env("BOOKWORM_CONFIG__COLOUR", "red")),
        error(env("BOOKWORM_GATEWAY__RATE_LIMIT__BURST", "many")),
        error(env("BOOKWORM_GATEWAY__RATE_LIMIT__BURST", "-1")),
        error(env("BOOKWORM_GATEWAY__RATE_LIMIT__BURST", "0")),
        error(env("BOOKWORM_GATEWAY__RATE_LIMIT__ENABLED", "maybe")),
        error(env("BOOKWORM_GATEWAY", "fast")),
        error(env("BOOKWORM_TELEMETRY__LOG_FORMAT", "xml")),
        error(env("BOOKWORM_LISTEN", "here")),
        error(env("BOOKWORM_PUBLIC_URL", "shop")),
        error(env("BOOKWORM_PUBLIC_URL", "https://shop.example/path")),
        error(env("BOOKWORM_DATABASE__URL", "mysql://root:hunter2@db/x")),
        error(env("BOOKWORM_SHOP__CURRENCY", "XXZ")),
        error(env("BOOKWORM_ORDERING__CURRENCY", "XXZ")),
        error(env("BOOKWORM_WEB__TIME_ZONE", "Europe/Atlantis")),
        error(env("BOOKWORM_WEB__TIME_ZONE", "+01:00")),
        error(Sources::new().set("--listen", "listen", "80")),
    ];
    insta::assert_snapshot!(cases.join("\n"), @r#"
    gateway.rate_limit.per_minute: unknown key, expected one of `enabled`, `per_client_per_minute`, `per_account_per_minute`, `hubs_per_client_per_minute`, `covers_per_client_per_minute`, `burst` (environment BOOKWORM_GATEWAY__RATE_LIMIT__PER_MINUTE)
    gatway: unknown key (did you mean `gateway`?), expected one of `listen`, `data_dir`, `public_url`, `shutdown_grace_seconds`, `demo`, `roles`, `shop`, `database`, `messaging`, `nats`, `redis`, `mongodb`, `telemetry`, `admin`, `identity`, `gateway`, `basket`, `search`, `ordering`, `payment`, `mail`, `rating`, `web`, `ai`, `chat`, `fleet`, `monitor`, `up` (environment BOOKWORM_GATWAY__CONCURRENCY)
    config: unknown key, expected one of `listen`, `data_dir`, `public_url`, `shutdown_grace_seconds`, `demo`, `roles`, `shop`, `database`, `messaging`, `nats`, `redis`, `mongodb`, `telemetry`, `admin`, `identity`, `gateway`, `basket`, `search`, `ordering`, `payment`, `mail`, `rating`, `web`, `ai`, `chat`, `fleet`, `monitor`, `up` (environment BOOKWORM_CONFIG__COLOUR)
    gateway.rate_limit.burst: invalid value, expected a whole number (environment BOOKWORM_GATEWAY__RATE_LIMIT__BURST)
    gateway.rate_limit.burst: invalid value, expected a whole number of 0 or more (environment BOOKWORM_GATEWAY__RATE_LIMIT__BURST)
    the configuration is not valid:
      gateway.rate_limit.burst: must be 1 to 1000000, not 0 (environment BOOKWORM_GATEWAY__RATE_LIMIT__BURST)
    gateway.rate_limit.enabled: invalid value, expected true or false (environment BOOKWORM_GATEWAY__RATE_LIMIT__ENABLED)
    gateway: invalid value, expected one of its keys to be set instead (environment BOOKWORM_GATEWAY)
    telemetry.log_format: unknown variant `xml`, expected `pretty` or `json` (environment BOOKWORM_TELEMETRY__LOG_FORMAT)
    listen: must be an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::1]:8080 (environment BOOKWORM_LISTEN)
    public_url: relative URL without a base: "shop" (environment BOOKWORM_PUBLIC_URL)
    the configuration is not valid:
      public_url: must be http:// or https:// and a host, without path or query (environment BOOKWORM_PUBLIC_URL)
    the configuration is not valid:
      database.url: must start with postgres://; leave it out for SQLite in the data folder (environment BOOKWORM_DATABASE__URL)
    shop.currency: `XXZ` is not an ISO 4217 currency code such as USD or EUR (environment BOOKWORM_SHOP__CURRENCY)
    shop.currency: `XXZ` is not an ISO 4217 currency code such as USD or EUR (environment BOOKWORM_ORDERING__CURRENCY, under its earlier name ordering.currency)
    web.time_zone: must be the IANA name of a time zone, such as Europe/Berlin or America/New_York, not `Europe/Atlantis` (environment BOOKWORM_WEB__TIME_ZONE)
    web.time_zone: must be the IANA name of a time zone, such as Europe/Berlin or America/New_York, not `+01:00` (environment BOOKWORM_WEB__TIME_ZONE)
    listen: must be an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::1]:8080 (flag --listen)
    "#);
}

#[test]
fn errors_in_a_file_name_the_file() {
    for (toml, expected) in [
        ("listen = 5", "listen: "),
        ("[gateway]\nspeed = 5", "gateway.speed: unknown key"),
        ("[gateway]\nconcurrency = 0", "gateway.concurrency: must be 1 to 100000, not 0"),
        ("[database]\nurl = 5", "database.url: invalid value, expected a string"),
        (
            "[[ordering.tax]]\ncountry = \"DE\"\nrate_basis_points = 700\ncolour = 1",
            "ordering.tax[0].colour: unknown key",
        ),
        (
            "[[ordering.tax]]\ncountry = \"DE\"\nrate_basis_points = 70000",
            "ordering.tax[0].rate_basis_points: must be 0 to 10000",
        ),
    ] {
        let toml = file(toml);
        let text = error(Sources::new().file(toml.path()));
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(&format!("(file {})", toml.path().display())), "{text}");
    }
    let broken = file("listen = ");
    assert!(error(Sources::new().file(broken.path())).contains("line 1"));
    let missing = Settings::load(Sources::new().file("/nowhere/shop.toml")).unwrap_err();
    assert!(matches!(missing, ConfigError::Read { .. }) && missing.to_string().contains("/nowhere/shop.toml"));
}

#[test]
fn no_secret_is_ever_printed() {
    let mut settings = Settings::default();
    let secret = || Some(Secret::new("hunter2hunter2hunter2"));
    settings.database.url = secret();
    settings.admin.password = secret();
    settings.ordering.guest_link_secret = secret();
    settings.payment.webhook_secret = secret();
    settings.mail.smtp.password = secret();
    settings.ai.api_key = secret();
    settings.nats.url = secret();
    settings.nats.password = secret();
    settings.nats.token = secret();
    settings.nats.nkey = secret();
    settings.redis.url = secret();
    settings.redis.password = secret();
    settings.mongodb.url = secret();
    settings.mongodb.password = secret();
    let printed = format!("{}{settings:?}", settings.redacted_toml());
    assert!(!printed.contains("hunter2"), "{printed}");
    assert_eq!(settings.redacted_toml().matches("********").count(), 14);
    // Not even by the error about a secret that was put under the wrong key or in the wrong shape.
    for name in ["BOOKWORM_LISTEN", "BOOKWORM_DATABASE__URL", "BOOKWORM_GATEWAY__CONCURRENCY"] {
        let text = error(env(name, "hunter2"));
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn what_is_printed_can_be_read_back() {
    let printed = file(&Settings::default().redacted_toml());
    assert_eq!(Settings::load(Sources::new().file(printed.path())).unwrap(), Settings::default());
}

#[test]
fn every_broken_limit_is_named_at_once() {
    let mut settings = Settings::default();
    settings.shutdown_grace_seconds = 601;
    settings.database.max_connections = 0;
    settings.database.connect_timeout_seconds = 0;
    settings.database.statement_timeout_seconds = 0;
    settings.messaging.max_attempts = 0;
    settings.messaging.backoff_initial_ms = 0;
    settings.messaging.backoff_max_seconds = 3601;
    settings.messaging.lease_seconds = 4;
    settings.messaging.retention_days = 0;
    settings.messaging.workers_per_consumer = 257;
    settings.telemetry.log_filter = " ".into();
    settings.admin.email = Some("nobody".into());
    settings.identity.issuer = Some(String::new());
    settings.identity.access_token_minutes = 0;
    settings.identity.refresh_token_days = 366;
    settings.identity.refresh_overlap_seconds = 301;
    settings.identity.session_max_days = 0;
    settings.identity.lockout.attempts_before_delay = 0;
    settings.identity.lockout.base_delay_seconds = 0;
    settings.identity.lockout.max_delay_minutes = 0;
    settings.identity.lockout.per_address_per_minute = 0;
    settings.identity.argon2.memory_kib = 7;
    settings.identity.argon2.iterations = 0;
    settings.identity.argon2.parallelism = 17;
    settings.nats.url = Some(Secret::new("nats://a:4222,http://b"));
    settings.nats.stream = "two words".into();
    settings.rating.invite_after_days = Some(366);
    settings.rating.invitation_valid_days = 0;
    settings.nats.replicas = 2;
    settings.nats.max_mib = 1;
    settings.nats.connect_timeout_seconds = 0;
    settings.nats.username = Some("shop".into());
    settings.nats.token = Some(Secret::new("a"));
    settings.nats.token_file = Some("b".into());
    settings.nats.key_file = Some("c".into());
    settings.redis.url = Some(Secret::new("redis://:a@cache/one"));
    settings.redis.prefix = "two words".into();
    settings.redis.connect_timeout_seconds = 601;
    settings.redis.password = Some(Secret::new("b"));
    settings.redis.ca_file = Some("c".into());
    settings.redis.certificate_file = Some("d".into());
    settings.mongodb.url = Some(Secret::new("mongodb://"));
    settings.mongodb.database = "a.b".into();
    settings.mongodb.connect_timeout_seconds = 0;
    settings.mongodb.password = Some(Secret::new("a"));
    settings.mongodb.password_file = Some("b".into());
    settings.gateway.body_limit_kib = 0;
    settings.gateway.request_timeout_seconds = 0;
    settings.gateway.concurrency = 0;
    settings.gateway.connections.max = 0;
    settings.gateway.connections.per_address = 0;
    settings.gateway.rate_limit.covers_per_client_per_minute = 0;
    settings.gateway.cors.allowed_origins = vec!["https://a.example/".into()];
    settings.gateway.rate_limit.per_client_per_minute = 0;
    settings.gateway.rate_limit.per_account_per_minute = 0;
    settings.gateway.rate_limit.burst = 0;
    settings.basket.guest_days = 0;
    settings.basket.max_lines = 1001;
    settings.search.meaning_timeout_ms = 0;
    settings.search.nearest_percent = 101;
    settings.ordering.checkout_wait_seconds = 121;
    settings.ordering.reserve_timeout_seconds = 0;
    settings.ordering.payment_timeout_seconds = 0;
    settings.ordering.action_timeout_minutes = 0;
    settings.ordering.guest_link_secret = Some(Secret::new("short"));
    settings.ordering.shipping_methods[0].code = "Not a code".into();
    settings.ordering.shipping_methods[1].price = -1;
    settings.ordering.shipping_methods[1].min_days = 9;
    settings.ordering.shipping_methods[2].countries = vec!["Germany".into()];
    settings.ordering.tax[0].country = "us".into();
    settings.payment.timeout_seconds = 0;
    settings.payment.webhook_secret = Some(Secret::new("short"));
    settings.payment.sandbox.latency_ms = 60_001;
    settings.payment.sandbox.challenge_minutes = 0;
    settings.mail.from = "nobody".into();
    settings.mail.max_attempts = 0;
    settings.mail.transport = bookworm_config::MailTransport::Smtp;
    settings.mail.smtp.port = 0;
    settings.mail.smtp.username = Some("shop".into());
    settings.web.shop_name = String::new();
    settings.ai.provider = bookworm_config::AiProvider::Openai;
    settings.ai.model_dir = Some("".into());
    settings.ai.max_tokens = 513;
    settings.ai.threads = 257;
    settings.ai.timeout_ms = 99;
    settings.ai.batch = 0;
    settings.ai.queue = 63;
    let lines: Vec<_> = settings.validate().unwrap_err().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    shutdown_grace_seconds: must be 0 to 600, not 601
    database.max_connections: must be 4 to 1000, not 0
    database.connect_timeout_seconds: must be 1 to 600, not 0
    database.statement_timeout_seconds: must be 1 to 600, not 0
    messaging.max_attempts: must be 1 to 100, not 0
    messaging.backoff_initial_ms: must be 1 to 60000, not 0
    messaging.backoff_max_seconds: must be 1 to 3600, not 3601
    messaging.lease_seconds: must be 5 to 3600, not 4
    messaging.retention_days: must be 1 to 3650, not 0
    messaging.workers_per_consumer: must be 1 to 256, not 257
    nats.url: must be nats://host:4222 or tls://host:4222, or several with commas between
    nats.stream: must be 1 to 64 letters, digits, _ and -
    nats.replicas: must be 1, 3 or 5
    nats.max_mib: must be 8 to 1048576, not 1
    nats.connect_timeout_seconds: must be 1 to 600, not 0
    nats.token: cannot be set together with nats.token_file
    nats.password: must be set exactly when nats.username is
    nats.username: only one of username, token, nkey and credentials_file can sign in
    nats.key_file: must be set exactly when nats.certificate_file is
    redis.url: must be redis://host:6379 or rediss://host:6379, with the number of a database or none
    redis.prefix: must be 1 to 64 letters, digits, _ and -
    redis.connect_timeout_seconds: must be 1 to 600, not 601
    redis.password: can be in only one of redis.url, redis.password and redis.password_file
    redis.ca_file: is for rediss:// only
    redis.certificate_file: is for rediss:// only
    redis.key_file: must be set exactly when redis.certificate_file is
    mongodb.url: must be mongodb://host:27017, several hosts with commas between, or mongodb+srv://name
    mongodb.database: must be 1 to 38 letters, digits, _ and -
    mongodb.connect_timeout_seconds: must be 1 to 600, not 0
    mongodb.password: cannot be set together with mongodb.password_file
    mongodb.username: must be set exactly when a password is
    telemetry.log_filter: must not be empty; `off` writes nothing
    admin.email: must be an e-mail address
    admin.password: must be set when admin.email is
    identity.issuer: must not be empty
    identity.access_token_minutes: must be 1 to 1440, not 0
    identity.refresh_token_days: must be 1 to 365, not 366
    identity.refresh_overlap_seconds: must be 0 to 300, not 301
    identity.session_max_days: must be 1 to 3650, not 0
    identity.lockout.attempts_before_delay: must be 1 to 100, not 0
    identity.lockout.base_delay_seconds: must be 1 to 3600, not 0
    identity.lockout.max_delay_minutes: must be 1 to 1440, not 0
    identity.lockout.per_address_per_minute: must be 1 to 10000, not 0
    identity.argon2.parallelism: must be 1 to 16, not 17
    identity.argon2.memory_kib: must be 128 to 4194304, not 7
    identity.argon2.iterations: must be 1 to 100, not 0
    gateway.body_limit_kib: must be 1 to 65536, not 0
    gateway.request_timeout_seconds: must be 1 to 600, not 0
    gateway.concurrency: must be 1 to 100000, not 0
    gateway.connections.max: must be 1 to 1000000, not 0
    gateway.connections.per_address: must be 1 to 1000000, not 0
    gateway.cors.allowed_origins[0]: must be an origin such as https://app.example.org
    gateway.rate_limit.per_client_per_minute: must be 1 to 1000000, not 0
    gateway.rate_limit.per_account_per_minute: must be 1 to 1000000, not 0
    gateway.rate_limit.covers_per_client_per_minute: must be 1 to 1000000, not 0
    gateway.rate_limit.burst: must be 1 to 1000000, not 0
    basket.guest_days: must be 1 to 365, not 0
    basket.max_lines: must be 1 to 1000, not 1001
    search.meaning_timeout_ms: must be 1 to 10000, not 0
    search.nearest_percent: must be 0 to 100, not 101
    ordering.checkout_wait_seconds: must be 0 to 120, not 121
    ordering.checkout_wait_seconds: must not be above ordering.max_wait_seconds
    ordering.reserve_timeout_seconds: must be 1 to 3600, not 0
    ordering.payment_timeout_seconds: must be 1 to 3600, not 0
    ordering.action_timeout_minutes: must be 1 to 1440, not 0
    ordering.guest_link_secret: must be at least 16 characters
    ordering.shipping_methods[0].code: must be 1 to 40 lower-case letters, digits, - and _
    ordering.shipping_methods[1].price: must be 0 to 10000000000, not -1
    ordering.shipping_methods[1].min_days: must not be above max_days
    ordering.shipping_methods[2].countries[0]: must be two capitals, as in ISO 3166-1
    ordering.tax[0].country: must be two capitals, as in ISO 3166-1
    payment.timeout_seconds: must be 1 to 120, not 0
    payment.webhook_secret: must be at least 16 characters
    payment.sandbox.latency_ms: must be 0 to 60000, not 60001
    payment.sandbox.challenge_minutes: must be 1 to 1440, not 0
    mail.from: must be an e-mail address, or a name and an address in angle brackets
    mail.max_attempts: must be 1 to 100, not 0
    mail.smtp.host: must be set for the transport `smtp`
    mail.smtp.port: must be 1 to 65535, not 0
    mail.smtp.password: must be set exactly when mail.smtp.username is
    rating.invite_after_days: must be 0 to 365, not 366
    rating.invitation_valid_days: must be 1 to 365, not 0
    web.shop_name: must be 1 to 60 characters, without control characters
    ai.max_tokens: must be 8 to 512, not 513
    ai.threads: must be 0 to 256, not 257
    ai.timeout_ms: must be 100 to 120000, not 99
    ai.batch: must be 1 to 2048, not 0
    ai.queue: must be 64 to 100000, not 63
    ai.model_dir: must not be empty
    ai.url: must be set for the provider openai
    ai.model: must be set for the provider openai
    ");
}

#[test]
fn a_url_chooses_the_endpoint_and_a_folder_with_files_the_local_model() {
    use bookworm_config::AiProvider;
    let mut ai = Settings::default().ai;
    assert_eq!((ai.chosen(|| true), ai.chosen(|| false)), (AiProvider::Local, AiProvider::Auto));
    ai.url = Some("https://models.example/v1/embeddings".parse().unwrap());
    assert_eq!(ai.chosen(|| true), AiProvider::Openai);
    ai.provider = AiProvider::Off;
    assert_eq!(ai.chosen(|| true), AiProvider::Off);
    let text = error(env("BOOKWORM_AI__URL", "ftp://models.example"));
    assert!(text.contains("ai.url: must be http:// or https://") && text.contains("ai.model"), "{text}");
}

#[test]
fn default_shipping_costs_what_fits_the_currency() {
    let price_of = |currency: &str, methods: Option<&str>| {
        let currency = Some(("BOOKWORM_SHOP__CURRENCY".to_owned(), currency.to_owned()));
        let methods = methods.map(|methods| ("BOOKWORM_ORDERING__SHIPPING_METHODS".to_owned(), methods.to_owned()));
        let settings = Settings::load(Sources::new().variables(currency.into_iter().chain(methods))).unwrap();
        let standard = &settings.ordering.shipping_methods[0];
        (standard.price, standard.free_from)
    };
    assert_eq!(price_of("USD", None), (490, Some(5_000)));
    assert_eq!(price_of("JPY", None), (490, Some(5_000)), "¥490, not ¥4.90 and not ¥49,000");
    assert_eq!(price_of("BHD", None), (2_450, Some(25_000)), "three decimals");
    assert_eq!(price_of("KRW", None), (4_900, Some(50_000)));
    let own = "[{code = \"pickup\", name = \"Pick up\", price = 7, min_days = 0, max_days = 1}]";
    assert_eq!(price_of("JPY", Some(own)), (7, None), "what is set stays");
}

#[test]
fn the_currency_is_read_under_its_earlier_name_too() {
    let variables = |pairs: &[(&str, &str)]| {
        Sources::new().variables(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    };
    let currency = |sources: Sources| Settings::load(sources).unwrap().shop.currency.code().to_owned();
    let (old, new) = ("BOOKWORM_ORDERING__CURRENCY", "BOOKWORM_SHOP__CURRENCY");
    assert_eq!(currency(Sources::new()), "USD");
    assert_eq!(currency(variables(&[(old, "EUR")])), "EUR");
    assert_eq!(currency(variables(&[(old, "EUR"), (new, "JPY")])), "JPY", "the present name wins");
    assert_eq!(currency(variables(&[(new, "JPY"), (old, "EUR")])), "JPY", "in whatever order");

    let earlier = file("[ordering]\ncurrency = \"EUR\"\n");
    let from_file = || Sources::new().file(earlier.path());
    assert_eq!(currency(from_file()), "EUR");
    assert_eq!(currency(from_file().variables([(new.to_owned(), "JPY".to_owned())])), "JPY");
    let present = file("[shop]\ncurrency = \"EUR\"\n");
    let later = Sources::new().file(present.path()).variables([(old.to_owned(), "JPY".to_owned())]);
    assert_eq!(currency(later), "JPY", "a later source wins, under either name");
    let standard = Settings::load(from_file()).unwrap().ordering.shipping_methods[0].price;
    assert_eq!(standard, 490, "default prices follow the currency");

    let explained = Settings::explain(from_file()).unwrap();
    let expected = format!(
        "[shop]\ncurrency = \"EUR\"  # file {}, under its earlier name ordering.currency\n",
        earlier.path().display()
    );
    assert!(explained.contains(&expected), "{explained}");
    let text = error(Sources::new().set("--set", "ordering.currency", "euro"));
    assert!(text.starts_with("shop.currency: ") && text.contains("flag --set"), "{text}");
}
