/** What the subscriber tells its page. */
export interface Settings {
  readonly version: string;
  /** There are users. */
  readonly login: boolean;
  /** People can register themselves. */
  readonly register: boolean;
  /** The browser had a cookie of a session when the page was sent. */
  readonly session: boolean;
  /** The page was opened by a share link. */
  readonly shared: boolean;
}

/** Where the pages of share links lie. */
const SHARE = /\/share\/[^/]+\/$/;

/** @param base - The address of the page, ends in a slash. */
export function readSettings(document: Document, base: string): Settings {
  const text = document.querySelector<HTMLMetaElement>('meta[name="caterva2"]')?.content ?? '';
  let given: Partial<Settings> = {};
  try {
    given = JSON.parse(text) as Partial<Settings>;
  } catch {
    // A page that was not sent by a subscriber has none.
  }
  const shared = SHARE.test(new URL(base).pathname);
  // The link speaks for whoever has it, so nobody is logged in there.
  const [login, register] = [given.login === true && !shared, given.register === true && !shared];
  return { version: given.version ?? '', login, register, session: given.session === true, shared };
}
