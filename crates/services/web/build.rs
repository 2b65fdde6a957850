//! Embeds what `web/` builds (scripts and styles, under names that carry their content's hash) and the pages about error
//! codes of `docs/errors/`.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

const SCRIPT: &str = "text/javascript; charset=utf-8";
/// What `web/build.mjs` makes.
const FILES: &[(&str, &str)] = &[
    ("app.js", SCRIPT),
    ("cases.js", SCRIPT),
    ("chat.js", SCRIPT),
    ("desk.js", SCRIPT),
    ("status.js", SCRIPT),
    ("shop.css", "text/css; charset=utf-8"),
];
/// How the names of fonts end. The bundler puts the hash into them, and the names into the style sheet.
const FONT: &str = "woff2";

fn main() {
    let crate_dir = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let root = crate_dir.join("../../..");
    embed_bundle(&root.join("web"), &out);
    embed_error_pages(&root.join("docs/errors"), &out);
}

fn embed_bundle(web: &Path, out: &Path) {
    for watched in ["src", "build.mjs", "package-lock.json", "tsconfig.json", "dist"] {
        println!("cargo::rerun-if-changed={}", web.join(watched).display());
    }
    let dist = web.join("dist");
    if is_stale(web, &dist) {
        build_bundle(web);
    }
    let mut table = String::from("pub(crate) const BUNDLE: &[Asset] = &[\n");
    for (file, kind) in FILES {
        let bytes = fs::read(dist.join(file))
            .unwrap_or_else(|error| panic!("{} cannot be read ({error}); run `make web`", dist.join(file).display()));
        let hash = Sha256::digest(&bytes).iter().take(5).fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
            hex
        });
        let (stem, extension) = file.split_once('.').expect("every name above has one");
        let name = format!("{stem}-{hash}.{extension}");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&bytes).expect("writing to memory cannot fail");
        fs::write(out.join(file), &bytes).expect("OUT_DIR is writable");
        fs::write(out.join(format!("{file}.gz")), gzip.finish().expect("writing to memory cannot fail"))
            .expect("OUT_DIR is writable");
        writeln!(
            table,
            "    Asset {{ file: {file:?}, name: {name:?}, content_type: {kind:?}, \
             bytes: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\")), \
             gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}.gz\")) }},"
        )
        .expect("writing to a string cannot fail");
    }
    for path in fonts(&dist) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("names of packages' files are ASCII");
        let stem = name.trim_end_matches(FONT).trim_end_matches('.');
        let (stem, _hash) = stem.rsplit_once('-').expect("the bundler puts a hash behind a dash");
        let (file, path) = (format!("{stem}.{FONT}"), path.canonicalize().expect("it was just listed"));
        writeln!(
            table,
            "    Asset {{ file: {file:?}, name: {name:?}, content_type: \"font/woff2\", bytes: include_bytes!({:?}), \
             gzip: &[] }},",
            path.display().to_string()
        )
        .expect("writing to a string cannot fail");
    }
    table.push_str("];\n");
    fs::write(out.join("bundle.rs"), table).expect("OUT_DIR is writable");
}

/// The fonts of the bundle, by name.
fn fonts(dist: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dist).into_iter().flatten();
    let mut fonts: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    fonts.retain(|path| path.extension().is_some_and(|extension| extension == FONT));
    fonts.sort();
    fonts
}

/// Whether a source is newer than the bundle, or there is no bundle.
fn is_stale(web: &Path, dist: &Path) -> bool {
    let Some(built) = FILES.iter().map(|(file, _)| newest(&dist.join(file))).min().flatten() else {
        return true;
    };
    fonts(dist).is_empty() || newest(&web.join("src")).is_some_and(|edited| edited > built)
}

fn newest(path: &Path) -> Option<std::time::SystemTime> {
    let data = fs::metadata(path).ok()?;
    if !data.is_dir() {
        return data.modified().ok();
    }
    fs::read_dir(path).ok()?.filter_map(|entry| newest(&entry.ok()?.path())).max()
}

fn build_bundle(web: &Path) {
    let npm = |arguments: &[&str]| Command::new("npm").args(arguments).current_dir(web).status();
    let needed = ["node_modules/esbuild", "node_modules/@fontsource-variable/lora"];
    if needed.iter().any(|package| !web.join(package).exists()) {
        match npm(&["ci", "--no-audit", "--no-fund"]) {
            Ok(status) if status.success() => {}
            Ok(status) => panic!("`npm ci` in web/ ended with {status}; run `make web` to see why"),
            Err(_) => panic!("the pages' scripts and styles are not built and npm is not here; run `make web`"),
        }
    }
    match npm(&["run", "build"]) {
        Ok(status) if status.success() => {}
        _ => panic!("`npm run build` in web/ failed; run `make web` to see why"),
    }
}

fn embed_error_pages(folder: &Path, out: &Path) {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    let mut table = String::from("pub(crate) const ERROR_PAGES: &[(&str, &str)] = &[\n");
    for path in pages {
        let code = path.file_stem().and_then(|stem| stem.to_str()).expect("error codes are ASCII");
        let path = path.canonicalize().expect("it was just listed");
        writeln!(table, "    ({code:?}, include_str!({:?})),", path.display().to_string())
            .expect("writing to a string cannot fail");
    }
    table.push_str("];\n");
    fs::write(out.join("error_pages.rs"), table).expect("OUT_DIR is writable");
}
