/** Makes text from outside (a server, a file, llama.cpp's log) fit for an error message: bounded and printable. */

// Control characters begin a terminal's escapes, format characters turn the reading direction, and half a surrogate pair
// or a line separator breaks the line that the message is.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;
const HIDDEN = "***";

/** How long, in UTF-16 units, one piece of text from outside gets in a message. */
export const LONGEST_QUOTE = 200;
/** And a whole reason, in which names of a file stand. */
export const LONGEST_REASON = 500;
/** And a line of a message, in which several of these stand. */
const LONGEST_LINE = 2000;

/**
 * Text from outside as it may stand in a message: what cannot be printed as its code point, a long text cut in its middle.
 *
 * @param secret What must not be shown, however it is written: as it is, in another case, or encoded for a URL.
 * @param most UTF-16 units at most.
 */
export function printable(text: string, secret?: string, most: number = LONGEST_QUOTE): string {
  const shown = strike(text, secret).replaceAll(UNPRINTABLE, (odd) => `\\u{${odd.codePointAt(0)!.toString(16)}}`);
  if (shown.length <= most) return shown;
  const half = Math.floor((most - 1) / 2);
  return `${shown.slice(0, half).toWellFormed()}…${shown.slice(shown.length - half).toWellFormed()}`;
}

/** A whole message of several lines: the net below all that quotes, for a path or a name that went into it as it was. */
export function printableLines(message: string): string {
  return message.split("\n").map((line) => printable(line, undefined, LONGEST_LINE)).join("\n");
}

/** A text without a secret. */
function strike(text: string, secret: string | undefined): string {
  if (!secret) return text;
  let struck = text;
  for (const form of formsOf(secret)) {
    for (let at = position(struck, form); at >= 0; at = position(struck, form)) {
      struck = struck.slice(0, at) + HIDDEN + struck.slice(at + form.length);
    }
  }
  return position(decoded(struck), secret) >= 0 ? HIDDEN : struck;
}

const SHORTEST_PART = 8; // characters: fewer may be a word of the text

/** How a secret may be written: as it is, in JSON, in HTML, for a URL, in base64; of a long one its first half, too. */
function formsOf(secret: string): Set<string> {
  const html = secret.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(
    '"',
    "&quot;",
  );
  const ascii = /^[\x20-\x7e]*$/.test(secret);
  // Base64 of a secret behind one or two other bytes has other letters, but for what no byte before it reaches.
  const base64 = ascii ? [btoa(secret), btoa(` ${secret}`).slice(2), btoa(`  ${secret}`).slice(3)] : [];
  const forms = [
    secret,
    secret.replaceAll("/", "\\/"),
    html,
    encodeURIComponent(secret),
    encodeURI(secret),
    ...base64.map((form) => form.replace(/..?=*$/, "")),
    secret.slice(0, Math.ceil(secret.length / 2)),
  ];
  return new Set(forms.filter((form) => form === secret || form.length >= SHORTEST_PART));
}

/** Where a text has a word, in any case: a host's name comes back in small letters. */
function position(text: string, word: string): number {
  return lowerCase(text).indexOf(lowerCase(word));
}

/** ASCII's letters in lower case, so that all places stay: "İ" would become two units. */
function lowerCase(text: string): string {
  return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** A text with every %XX of ASCII read, as often as it was written so. */
function decoded(text: string): string {
  let before = "";
  for (let now = text; now !== before;) {
    before = now;
    now = now.replaceAll(/%([0-7][0-9a-f])/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
    text = now;
  }
  return text;
}
