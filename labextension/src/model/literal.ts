/** Python literals, as NumPy writes the dtypes of records: lists, tuples, dictionaries, texts, numbers. */

const TOKEN = /\s*(?:([[\](){},:])|([+-]?\d+)|(True|False|None)\b|('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))/y;
const NAMES: Readonly<Record<string, unknown>> = { True: true, False: false, None: null };
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };
const CLOSING: Readonly<Record<string, string>> = { '[': ']', '(': ')', '{': '}' };

/** Read a literal: tuples as arrays, dictionaries as objects; undefined if it is none. */
export function readLiteral(text: string): unknown {
  const tokens = tokensOf(text);
  if (!tokens) {
    return undefined;
  }
  let at = 0;
  const read = (): unknown => {
    const token = tokens[at++];
    if (token === undefined || !('mark' in token)) {
      return token?.value;
    }
    const end = CLOSING[token.mark];
    const items: unknown[] = [];
    const pairs: [string, unknown][] = [];
    while (at < tokens.length && !isMark(tokens[at], end)) {
      const item = read();
      if (isMark(tokens[at], ':')) {
        at += 1;
        pairs.push([String(item), read()]);
      } else {
        items.push(item);
      }
      if (isMark(tokens[at], ',')) {
        at += 1;
      }
    }
    at += 1;
    return token.mark === '{' ? Object.fromEntries(pairs) : items;
  };
  return read();
}

type Token = { readonly mark: string } | { readonly value: unknown };

function isMark(token: Token | undefined, mark: string | undefined): boolean {
  return token !== undefined && 'mark' in token && token.mark === mark;
}

function tokensOf(text: string): Token[] | null {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  const end = text.trimEnd().length;
  while (pattern.lastIndex < end) {
    const match = pattern.exec(text);
    if (!match) {
      return null;
    }
    const [, mark, number, name, quoted] = match;
    tokens.push(
      mark !== undefined
        ? { mark }
        : number !== undefined
          ? { value: Number(number) }
          : name !== undefined
            ? { value: NAMES[name] }
            : { value: unquoted(quoted ?? '') }
    );
  }
  return tokens;
}

function unquoted(quoted: string): string {
  return quoted
    .slice(1, -1)
    .replace(/\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/gi, (_, ...found: (string | undefined)[]) => {
      const code = found[0] ?? found[1] ?? found[2];
      const plain = found[3] ?? '';
      return code === undefined ? (ESCAPES[plain] ?? plain) : String.fromCodePoint(parseInt(code, 16));
    });
}
