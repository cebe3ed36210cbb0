/** What the subscriber tells its page. */
export interface Settings {
  readonly version: string;
  /** There are users. */
  readonly login: boolean;
  /** People can register themselves. */
  readonly register: boolean;
}

export function readSettings(document: Document): Settings {
  const text = document.querySelector<HTMLMetaElement>('meta[name="caterva2"]')?.content ?? '';
  let given: Partial<Settings> = {};
  try {
    given = JSON.parse(text) as Partial<Settings>;
  } catch {
    // A page that was not sent by a subscriber has none.
  }
  return { version: given.version ?? '', login: given.login === true, register: given.register === true };
}
