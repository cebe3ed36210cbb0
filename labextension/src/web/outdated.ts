/** A page of yesterday: what it still has to load is gone when its subscriber was updated. */

/** Whether the subscriber serves another build of the page than this one. False if it does not answer. */
export async function isOutdated(page: Document, read: typeof fetch = fetch): Promise<boolean> {
  const script = page.querySelector('script[type="module"]')?.getAttribute('src');
  if (!script) {
    return false;
  }
  try {
    const answer = await read(page.baseURI, { cache: 'no-store' });
    return answer.ok && !(await answer.text()).includes(script);
  } catch {
    return false;
  }
}
