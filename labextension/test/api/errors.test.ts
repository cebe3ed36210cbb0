import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { errorOf, notWhatWasAsked, toApiError } from '../../src/api/errors';
import type { HostWords } from '../../src/api/host';

const WORDS: HostWords = {
  silent: 'LOOK',
  refused: 'REFUSED',
  trans: { __: (text, value = '') => `<${text}|${value}>` }
};

describe('sentences about failures', () => {
  it('are in the language of the page', async () => {
    const said = await Promise.all(
      [401, 403, 404, 413, 503, 418].map(async status => (await errorOf(new Response('', { status }), WORDS)).message)
    );

    assert.deepEqual(
      said.map(text => text.startsWith('<') || text === 'REFUSED'),
      said.map(() => true)
    );
    assert.equal(said[5], '<the server answered %1|418>');
    assert.equal(notWhatWasAsked(200, WORDS).message, '<the answer is not what was asked for|>');
    assert.equal(toApiError(new TypeError('network'), WORDS).message, '<the server does not answer|>');
    assert.equal(toApiError(new DOMException('', 'TimeoutError'), WORDS).message, '<no answer came in time|>');
  });

  it('are English where nobody translates', async () => {
    const error = await errorOf(new Response('', { status: 418, statusText: "I'm $& a teapot" }));

    assert.equal(error.message, "the server answered 418 I'm $& a teapot");
  });
});
