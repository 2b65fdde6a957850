import { announce } from "../page";

/** Providers whose addresses people mistype most. */
const PROVIDERS = [
  "gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.uk", "hotmail.com", "hotmail.co.uk", "outlook.com", "icloud.com",
  "live.com", "msn.com", "aol.com", "protonmail.com", "proton.me", "comcast.net", "verizon.net", "btinternet.com",
  "gmx.de", "gmx.net", "web.de", "t-online.de", "freenet.de", "orange.fr", "laposte.net", "wanadoo.fr", "libero.it",
  "yandex.ru",
];

/** Domains that look like a slip and are none. */
const GENUINE = new Set([
  ...PROVIDERS, "mail.com", "email.com", "ymail.com", "rocketmail.com", "gmx.com", "gmx.at", "gmx.ch", "gmx.org", "me.com",
  "mac.com", "pm.me", "mail.ru", "web.com", "orange.com", "free.fr", "att.net", "aim.com", "gmail.de",
]);

/** Endings that are slips of `.com`, though countries have two of them. */
const SLIPS = new Set(["co", "cm", "om"]);

/** The address that was probably meant, or nothing. It is a proposal: every address can be genuine. */
export function proposal(address: string): string | undefined {
  const at = address.lastIndexOf("@");
  const domain = address.slice(at + 1).trim().toLowerCase();
  if (at < 1 || domain.length < 5 || GENUINE.has(domain)) return undefined;
  // hotmail.ca and outlook.co.id are genuine: a provider's name before a country.
  const [name = "", ...rest] = domain.split(".");
  const country = rest.at(-1) ?? "";
  const known = PROVIDERS.some((provider) => provider.startsWith(`${name}.`));
  if (known && country.length === 2 && !SLIPS.has(country)) return undefined;
  const ranked = PROVIDERS.map((provider) => ({ provider, slips: slips(domain, provider) })).sort((a, b) => a.slips - b.slips);
  const best = ranked[0];
  // In a longer word two slips are still the same word.
  if (!best || best.slips > (best.provider.length >= 10 ? 2 : 1)) return undefined;
  return `${address.slice(0, at).trim()}@${best.provider}`;
}

/** How many slips lie between two words: a letter too many, too few, wrong, or two swapped (optimal string alignment). */
function slips(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const line = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1] ? 0 : 1;
      let least = Math.min((last[column] ?? 0) + 1, (line[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + same);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        least = Math.min(least, (before[column - 2] ?? 0) + 1);
      }
      line.push(least);
    }
    [before, last] = [last, line];
  }
  return last[b.length] ?? 0;
}

/** Asks "Did you mean ada@gmail.com?" below a field whose address looks mistyped. Nothing is changed or refused. */
export function emailHint(field: HTMLInputElement): void {
  let shown: HTMLElement | undefined;
  field.addEventListener("change", () => {
    shown?.remove();
    const meant = proposal(field.value);
    if (!meant) return;
    const take = document.createElement("button");
    take.type = "button";
    take.className = "link";
    take.textContent = meant;
    take.addEventListener("click", () => {
      field.value = meant;
      shown?.remove();
      field.focus();
      field.dispatchEvent(new Event("change", { bubbles: true }));
    });
    shown = document.createElement("p");
    shown.className = "field__hint";
    shown.append("Did you mean ", take, "?");
    field.after(shown);
    announce(`Did you mean ${meant}?`);
  });
}
